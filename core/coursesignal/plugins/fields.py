"""A JSON Schema of a settings class as the fields of an HTML form, and what a browser sends back as values again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "password", "number", "checkbox", "select"]


@dataclass(frozen=True, slots=True)
class Field:
    """One input; ``value`` is empty for a secret, which says with ``is_set`` that there is one."""

    name: str
    label: str
    help: str
    kind: Kind
    required: bool
    value: str = ""
    checked: bool = False
    is_set: bool = False
    choices: tuple[str, ...] = ()


def form_fields(schema: Mapping[str, Any], values: Mapping[str, Any]) -> list[Field]:
    """The fields a form can show; lists and objects are left to the API."""
    found = []
    for name, spec in schema.get("properties", {}).items():
        kind = _kind(spec)
        if kind is not None:
            required = name in schema.get("required", ())
            found.append(_field(name, spec, kind, values.get(name, spec.get("default")), required=required))
    return found


def entered(schema: Mapping[str, Any], form: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What the browser sent, as JSON values: a secret left empty stays, a field the form could not show keeps what it had."""
    values: dict[str, Any] = {}
    for name, spec in schema.get("properties", {}).items():
        kind, text = _kind(spec), str(form.get(name, "")).strip()
        if kind is None:
            if name in kept:
                values[name] = kept[name]
        elif kind == "checkbox":
            values[name] = name in form
        elif text:
            values[name] = _number(text) if kind == "number" else text
    return values


def _field(name: str, spec: Mapping[str, Any], kind: Kind, value: Any, *, required: bool) -> Field:
    secret = kind == "password"
    return Field(
        name=name,
        label=spec.get("title") or _words(name),
        help=spec.get("description", ""),
        kind=kind,
        required=required and not (secret and value),
        value="" if secret or value is None or isinstance(value, bool) else str(value),
        checked=value is True,
        is_set=secret and bool(value),
        choices=tuple(str(choice) for choice in spec.get("enum", ())),
    )


def _kind(spec: Mapping[str, Any]) -> Kind | None:
    types = {spec.get("type")} | {option.get("type") for option in spec.get("anyOf", ())}
    if spec.get("format") == "password":
        return "password"
    if "enum" in spec:
        return "select"
    if "boolean" in types:
        return "checkbox"
    if types & {"integer", "number"}:
        return "number"
    return "text" if "string" in types else None


def _number(text: str) -> object:
    """The number that was typed; the text itself when it is none, for the check to name."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _words(name: str) -> str:
    """``clientId`` as "Client id"."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize()
