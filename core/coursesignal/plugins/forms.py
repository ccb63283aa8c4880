"""A settings class as a form: its secrets, and the checking of what somebody filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.structs import FieldInfo

from coursesignal.connections.forms import form_schema
from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import Settings

MAX_BYTES = 64 * 1024
"""How much one tenant's settings of one plugin may take."""

MISSING = "Is required."

Values = Mapping[str, Any]


def form_problem(cls: type[Settings]) -> tuple[str, str] | None:
    """What is wrong with ``cls`` as a form, and the mend; None when it is one."""
    try:
        form_schema(cls)
        fields = _types(cls)
    except (TypeError, KeyError, NameError) as error:
        return f"{cls.__name__} is no form: {error}", "Use fields of types that have a JSON Schema."
    for name, kind in fields:
        if _has_secret(kind) and not _is_secret(kind):
            return (
                f"the secret inside field {name!r} of {cls.__name__} would be stored in the open",
                "Move the Secret to the top level of the class.",
            )
    return None


def secret_names(cls: type[Settings]) -> frozenset[str]:
    """Wire names of the fields that are :data:`coursesignal.plugin.Secret`."""
    return frozenset(name for name, kind in _types(cls) if _is_secret(kind))


def wire_names(cls: type[Settings]) -> dict[str, str]:
    """Wire name by field name."""
    return {field.name: field.encode_name for field in msgspec.structs.fields(cls)}


def fill_in(cls: type[Settings], values: Values, *, at: str = "settings") -> Settings:
    """``values`` as an instance of ``cls``; raises Invalid that names every wrong field below ``at``."""
    if len(msgspec.json.encode(values)) > MAX_BYTES:
        raise Invalid(errors=[FieldError(at, f"Is larger than {MAX_BYTES // 1024} KiB.")])
    errors = [FieldError(f"{at}.{error.path}", error.message) for error in problems(cls, values)]
    if errors:
        raise Invalid(errors=errors)
    try:
        return msgspec.convert(values, cls)
    except msgspec.ValidationError as error:  # the class's own __post_init__
        raise Invalid(errors=[FieldError(at, _sentence(error))]) from error


def problems(cls: type[Settings], values: Values) -> list[FieldError]:
    """What is wrong with each field of ``values``; MISSING where one is required."""
    return list(_problems(cls, values))


def to_values(settings: Settings) -> dict[str, Any]:
    """The opposite of :func:`fill_in`: JSON values by wire name."""
    values: dict[str, Any] = msgspec.to_builtins(settings)
    return values


def merge(cls: type[Settings], given: Values, secrets: Values) -> dict[str, Any]:
    """What somebody sent, with the stored secrets they left alone.

    A secret that is absent, or sent as it was shown (``{"set": true}``), is kept; null takes it away.
    """
    merged = {name: value for name, value in given.items() if value is not None or name not in secret_names(cls)}
    for name in secret_names(cls) & set(secrets):
        if name not in given or given[name] == {"set": True}:
            merged[name] = secrets[name]
    return merged


def split(cls: type[Settings], values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be stored in the open, and what must be sealed."""
    hidden = secret_names(cls)
    return (
        {name: value for name, value in values.items() if name not in hidden},
        {name: value for name, value in values.items() if name in hidden},
    )


def shown(cls: type[Settings], values: Values) -> dict[str, Any]:
    """``values`` as a person may see them: a secret is only ``{"set": true}`` or ``{"set": false}``."""
    hidden = secret_names(cls)
    result = {name: value for name, value in values.items() if name not in hidden}
    return result | {name: {"set": bool(values.get(name))} for name in sorted(hidden)}


def _problems(cls: type[Settings], values: Values) -> Iterator[FieldError]:
    fields: dict[str, FieldInfo] = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    for name in values:
        if name not in fields:
            yield FieldError(name, "There is no such field.")
    for name, field in fields.items():
        if name not in values:
            if field.required:
                yield FieldError(name, MISSING)
            continue
        try:
            msgspec.convert(values[name], field.type)
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `$")
            yield FieldError(f"{name}{where.rstrip('`')}", _sentence(message))


def _sentence(error: object) -> str:
    text = str(error).replace("`", "")
    return text if text.endswith(".") else f"{text}."


def _types(cls: type[Settings]) -> list[tuple[str, inspect.Type]]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return [(field.encode_name, field.type) for field in info.fields]


def _is_secret(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata) and (kind.extra_json_schema or {}).get("x-secret"):
        return True
    if isinstance(kind, inspect.Metadata):
        return _is_secret(kind.type)
    return isinstance(kind, inspect.UnionType) and any(map(_is_secret, kind.types))


def _has_secret(kind: inspect.Type) -> bool:
    """Whether there is a secret at any depth."""
    return any(
        isinstance(part, inspect.Metadata) and bool((part.extra_json_schema or {}).get("x-secret"))
        for part in _parts(kind, set())
    )


def _parts(kind: Any, seen: set[int]) -> Iterator[inspect.Type]:
    """``kind`` and every type inside it; recursive types end where they began."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, inspect.Type):
        yield kind
    if isinstance(kind, inspect.Type | inspect.Field):
        for name in kind.__struct_fields__:
            yield from _parts(getattr(kind, name), seen)
    elif isinstance(kind, tuple):
        for inner in kind:
            yield from _parts(inner, seen)
