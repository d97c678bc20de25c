"""How a variable is declared: its name, default, meaning, and what it allows."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "SMARTTRADE_"


class Variables(BaseModel):
    """Some variables that belong together."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


def variable(name: str, default: Any, meaning: str, *, allowed: str, **limits: Any) -> Any:
    return Field(
        default,
        validation_alias=name,
        description=meaning,
        json_schema_extra={"allowed": allowed},
        **limits,
    )


def number(name: str, default: float, meaning: str, low: float, high: float, unit: str) -> Any:
    kind = "a whole number" if isinstance(default, int) else "a number"
    allowed = f"{kind} from {low} to {high}" + (f" ({unit})" if unit else "")
    return variable(name, default, meaning, allowed=allowed, ge=low, le=high)
