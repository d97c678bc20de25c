"""Each variable, as the documentation and the command line present it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.fields import FieldInfo

from .fields import PREFIX
from .model import Settings
from .values import shown


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    field: str
    """Of `Settings`."""
    option: str
    """Of the command line."""
    default: str
    allowed: str
    """Completes "must be ..."."""
    meaning: str
    is_switch: bool
    """Whether its option takes no value."""


def option_of(name: str) -> str:
    """The command line's spelling of a variable."""
    return "--" + name.removeprefix(PREFIX).lower().replace("_", "-")


def _variable_of(field: str, info: FieldInfo) -> Variable:
    name, extra = str(info.validation_alias), info.json_schema_extra
    assert isinstance(extra, dict)
    is_switch = info.annotation is bool
    return Variable(
        name,
        field,
        "--memory" if field == "use_memory_store" else option_of(name),
        shown(info.default),
        str(extra["allowed"]),
        str(info.description),
        is_switch,
    )


VARIABLES = {
    variable.name: variable
    for variable in (_variable_of(*item) for item in Settings.model_fields.items())
}
