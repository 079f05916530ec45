"""What every group of options in settings.py is made of."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal["machine", "window", "resource"]


def option(
    default: Any, doc: str, *, scope: Scope = "window", restart: bool = False, secret: bool = False, **limits: Any
) -> Any:
    """A pydantic field that carries its scope, whether a change needs a restart of the server, and whether its value is
    never shown."""
    return Field(
        default,
        description=doc,
        json_schema_extra={"scope": scope, "restart": restart, "secret": secret},
        validate_default=True,
        **limits,
    )


class Section(BaseModel):
    """A group of options. Frozen: a request keeps the settings it began with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
