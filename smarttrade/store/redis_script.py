"""The scripts in `lua/`."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files


class Script:
    """A script by its name."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath("lua", f"{name}.lua").read_bytes()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()
        """Its name at a server that has it."""
