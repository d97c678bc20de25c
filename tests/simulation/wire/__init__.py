"""Redis as a Cluster or behind Sentinels, as the product sees it through redis-py.

All of the product runs, its Lua scripts and redis-py's clients included. Below them sockets are
replaced (`sockets.py`), threads (`greenlets.py`), and the servers (`server.py`, `site.py`).
"""
