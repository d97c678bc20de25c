"""What clients reach: HTTP, WebSockets and pages. `front_end.py` is the child of the tree."""
