"""A connector's credentials as a form: its JSON Schema, and what somebody entered checked against it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import Settings

UNTYPABLE = "Has characters that do not belong there."
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.S)
_NAMED = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`$", re.S)


def form_schema(cls: type[Settings]) -> dict[str, Any]:
    """The JSON Schema of ``cls`` as one object; secrets are ``writeOnly`` strings of format "password"."""
    schema: dict[str, Any] = msgspec.json.schema(cls)
    definitions: dict[str, Any] = schema.pop("$defs", {})
    top = definitions.pop(cls.__name__, schema)
    return {**top, "$defs": definitions} if definitions else dict(top)


def read_form(cls: type[Settings], entered: Mapping[str, Any]) -> Settings:
    """What was entered as ``cls``, without the space around it that pasting brings; raises Invalid that names the field."""
    try:
        return msgspec.convert({name: _typed(name, value) for name, value in entered.items()}, cls)
    except msgspec.ValidationError as error:
        raise Invalid(errors=[field_error(error)]) from error


def _typed(name: str, value: object) -> object:
    """What a person can have typed."""
    if not isinstance(value, str):
        return value
    if not value.strip().isprintable():
        raise Invalid(errors=[FieldError(name, UNTYPABLE)])
    return value.strip()


def field_error(error: msgspec.ValidationError) -> FieldError:
    """The field and the reason inside msgspec's message."""
    found = _WHERE.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    named = _NAMED.match(what)
    if "matching regex" in what:
        return FieldError(path, UNTYPABLE)
    if named is None:
        return FieldError(path, f"{what.replace('`', '')}.")
    message = "Is required." if named["what"].startswith("missing") else "There is no such field."
    return FieldError(f"{path}.{named['name']}".lstrip("."), message)
