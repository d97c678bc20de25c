"""Mutation checks: bugs planted into the product, one at a time; each must be found soon.

`python -m tests.simulation --plants` looks for all of them.
"""

from .catalogue import PLANTS, Plant, find

__all__ = ["PLANTS", "Plant", "find"]
