"""What a report can be narrowed to: conditions joined by AND, the values of one joined by OR.

Two spellings of the same. JSON, as segments are saved::

    {"conditions": [{"field": "source", "values": ["youtube"]}, {"field": "country", "operator": "isNot", "values": ["US"]}]}

and short, for addresses::

    source:youtube|newsletter;country!:US

A value that ends in ``*`` stands for all that begin so. Values that hold ``;`` or ``|`` need JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from coursesignal.errors import FieldError, Invalid

VISIT_FIELDS = (
    "source", "channel", "medium", "campaign", "content", "landing", "country", "device", "browser", "system",
)  # fmt: skip
"""Of one visit on the way: all such conditions of a filter are met by one and the same visit."""
PURCHASE_FIELDS = ("platform", "product", "currency", "match", "buyer", "coupon")
PERSON_FIELDS = ("firstSource",)
FIELDS = (*VISIT_FIELDS, *PURCHASE_FIELDS, *PERSON_FIELDS)
BUYERS = ("new", "returning")
MAX_CONDITIONS, MAX_VALUES, MAX_LENGTH = 20, 50, 500
_SHORT = re.compile(r"([A-Za-z]+)(!?):(.*)", re.DOTALL)


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One field is, or is not, one of some values."""

    field: str
    operator: Literal["is", "isNot"] = "is"
    values: tuple[str, ...]


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """Conditions that all hold; ``complement`` is everything they leave out."""

    conditions: tuple[Condition, ...]
    complement: bool = False


def parse(text: str, path: str = "filter") -> Filter:
    """The filter of a query parameter, in either spelling; raises Invalid naming what is wrong."""
    if text.lstrip().startswith("{"):
        return checked(_from_json(text, path), path)
    return checked(Filter(conditions=tuple(_short(text, path))), path)


def checked(asked: Filter, path: str = "filter") -> Filter:
    """``asked`` when it can be answered; raises Invalid with the path of everything that is wrong."""
    errors = list(_problems(asked, path))
    if errors:
        raise Invalid("This filter cannot be used.", errors=errors)
    return asked


def _from_json(text: str, path: str) -> Filter:
    try:
        return msgspec.json.decode(text, type=Filter)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _invalid(path, f"Not a filter: {error}.") from error


def _short(text: str, path: str) -> Iterator[Condition]:
    for number, part in enumerate(text.split(";")):
        found = _SHORT.fullmatch(part.strip())
        if found is None:
            raise _invalid(
                f"{path}.{number}", "Write field:value, field:value|value or field!:value, with ; between conditions."
            )
        field, negated, values = found.groups()
        yield Condition(field=field, operator="isNot" if negated else "is", values=tuple(values.split("|")))


def _problems(asked: Filter, path: str) -> Iterator[FieldError]:
    if not 1 <= len(asked.conditions) <= MAX_CONDITIONS:
        yield FieldError(f"{path}.conditions", f"Give 1 to {MAX_CONDITIONS} conditions.")
    for number, condition in enumerate(asked.conditions[:MAX_CONDITIONS]):
        yield from _problems_of(condition, f"{path}.conditions.{number}")


def _problems_of(condition: Condition, path: str) -> Iterator[FieldError]:
    if condition.field not in FIELDS:
        yield FieldError(f"{path}.field", f"Must be one of {', '.join(FIELDS)}.")
    if not 1 <= len(condition.values) <= MAX_VALUES:
        yield FieldError(f"{path}.values", f"Give 1 to {MAX_VALUES} values.")
    for number, value in enumerate(condition.values[:MAX_VALUES]):
        if problem := _problem_of(condition.field, value):
            yield FieldError(f"{path}.values.{number}", problem)


def _problem_of(field: str, value: str) -> str | None:
    if len(value) > MAX_LENGTH or not _storable(value):
        return f"Must be text of at most {MAX_LENGTH} characters."
    if field == "buyer" and value not in BUYERS:
        return f"Must be {' or '.join(BUYERS)}."
    return None


def _storable(value: str) -> bool:
    """PostgreSQL holds neither NUL nor half a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _invalid(path: str, message: str) -> Invalid:
    return Invalid("This filter cannot be used.", errors=[FieldError(path, message)])
