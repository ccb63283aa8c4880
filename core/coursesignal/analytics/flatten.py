"""Any report as a table: one line per row of its main list, one column per field, and what has no row at the end.

Texts, ids and dates come first, figures after them, each in the order of the answer. Fields of fields carry both names; the lists
within a row are laid out to the right, each entry under its own first field (``cells_0_students``). Amounts are decimal.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec.structs import fields

from coursesignal.currency import decimal_amount

Cell = str | int | float | Decimal | None
"""Text is guarded by who writes the file, numbers are written as they are, None is empty."""
LISTS = ("rows", "items", "days", "paths")
"""What reports call their main list."""
UNATTRIBUTED = "(unattributed)"
_FIGURES = (int, float, Decimal)
_BESIDE = ("currency", "model")
"""Of the whole report; put beside every line that does not have its own."""


def table(report: msgspec.Struct, main: str = "") -> list[Sequence[Cell]]:
    """``report`` with its header; ``main`` names the list, by default the first of LISTS; without any the report is the line."""
    found = {field.name: field.type for field in fields(report)}
    main = main or next((name for name in LISTS if name in found), "")
    lines: Sequence[Any] = getattr(report, main) if main else [report]
    kind = get_args(found[main])[0] if main else type(report)
    columns = _columns(kind)
    beside = {name: getattr(report, name) for name in _BESIDE if name in found and name not in columns and main}
    cells = [_line(line, beside.get("currency", "")) | beside for line in lines]
    rest = getattr(report, "unattributed", None)
    if main and isinstance(rest, msgspec.Struct):
        cells.append(_line(rest, beside.get("currency", "")) | beside | {columns[0]: UNATTRIBUTED})
    header = _header([*columns, *beside], cells)
    return [header, *([line.get(name) for name in header] for line in cells)]


def _columns(kind: type) -> list[str]:
    """The columns of a row of this class that every row has, texts first."""
    described = [(_title(field.name), _bare(field.type)) for field in fields(kind)]
    flat = [(name, found) for name, found in described if get_origin(found) is None and not _is_struct(found)]
    figures = [name for name, found in flat if found in _FIGURES]
    return [*(name for name, _ in flat if name not in figures), *figures]


def _header(columns: Sequence[str], cells: Sequence[Mapping[str, Cell]]) -> list[str]:
    """``columns`` and whatever some line has besides, before what is of the whole report."""
    more = dict.fromkeys(name for line in cells for name in line if name not in columns)
    kept = [name for name in columns if name not in _BESIDE]
    return [*kept, *more, *(name for name in columns if name in _BESIDE)]


def _line(row: msgspec.Struct, currency: str) -> dict[str, Cell]:
    currency = getattr(row, "currency", None) or currency
    return dict(_cells(row, currency, ""))


def _cells(row: msgspec.Struct, currency: str, prefix: str) -> Iterator[tuple[str, Cell]]:
    for field in fields(row):
        yield from _cell(field.name, getattr(row, field.name), currency, prefix)


def _cell(name: str, value: object, currency: str, prefix: str) -> Iterator[tuple[str, Cell]]:
    """A value under its name; what has parts as several."""
    title = prefix + _title(name)
    if isinstance(value, msgspec.Struct):
        yield from _cells(value, currency, f"{title}_")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield f"{title}_{key}", _plain(part, name, currency)
    elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
        for part in value:
            yield from _cells(part, currency, f"{title}_{_key(part)}_")
    elif isinstance(value, tuple):
        yield title, " > ".join(str(part) for part in value)
    else:
        yield title, _plain(value, name, currency)


def _key(part: msgspec.Struct) -> str:
    return str(getattr(part, fields(part)[0].name))


def _plain(value: Any, name: str, currency: str) -> Cell:
    if name.endswith("_minor") and isinstance(value, int):
        return Decimal(decimal_amount(value, currency))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _title(name: str) -> str:
    return name.removesuffix("_minor").removesuffix("_")


def _bare(found: Any) -> Any:
    """The type without ``| None``."""
    if get_origin(found) not in (Union, types.UnionType):
        return found
    (first, *_) = (part for part in get_args(found) if part is not type(None))
    return first


def _is_struct(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, msgspec.Struct)
