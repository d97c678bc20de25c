"""Query parameters that are whole numbers: how they are read, and what the schema says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .problem import ProblemError


@dataclass(frozen=True, slots=True)
class IntParam:
    """One parameter; its bounds are inclusive."""

    name: str
    least: int
    most: int
    meaning: str
    default: int | None = None
    is_required: bool = False
    example: int | None = None

    def read(self, query: Mapping[str, str]) -> int | None:
        """What the query says, or the default.

        Raises:
            ProblemError: it is no such number.
        """
        text = query.get(self.name)
        if text is None and not self.is_required:
            return self.default
        digits = (text or "").removeprefix("-" if self.least < 0 else "")
        if text is not None and digits.isascii() and digits.isdecimal() and len(text) < 20:
            value = int(text)
            if self.least <= value <= self.most:
                return value
        raise ProblemError(400, f"bad_{self.name}", self._complaint(text))

    def _complaint(self, text: str | None) -> str:
        allowed = f"{self.name} must be a whole number from {self.least} to {self.most}"
        if text is None:
            return f"{allowed}, and is missing"
        shown = text if len(text) <= 50 else text[:50] + "..."
        return f"{allowed}, not {shown!r}"

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer", "minimum": self.least, "maximum": self.most}
        if self.default is not None:
            schema["default"] = self.default
        return schema
