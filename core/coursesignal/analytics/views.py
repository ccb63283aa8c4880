"""How a reading sees the tables: definitions that stand before a query under the tables' own names.

A query is written about ``purchases``, ``charges``, ``credits``, ``touches``, ``sessions``, ``visitors`` and so on. What a tenant
asks of it besides – another date, another window, another currency, a segment – replaces these names by common table expressions
of the same columns, and only those that the query mentions. A view that nothing was asked of leaves the query as it is, byte for
byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NUMBER = re.compile(r"\$(\d+)")
_WITH = re.compile(r"\s*with\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a name stands for; ``$1`` … in ``sql`` are its own ``values``. Kept: computed once, whatever it is joined to."""

    sql: str
    values: tuple[object, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """``tables`` by the names they replace; ``steps`` on the way to them, each only about tables and steps before it."""

    tables: Mapping[str, Definition] = field(default_factory=dict)
    steps: Mapping[str, Definition] = field(default_factory=dict)

    def over(self, sql: str, values: Sequence[object]) -> tuple[str, tuple[object, ...]]:
        """``sql`` about the tables as this view has them, and its values with the view's own after them."""
        needed = self._needed(sql)
        if not needed:
            return sql, tuple(values)
        given = list(values)
        definitions = ", ".join(_written(name, definition, given) for name, definition in needed.items())
        rest = sql[found.end() :] if (found := _WITH.match(sql)) else None
        return f"with {definitions} {sql}" if rest is None else f"with {definitions}, {rest}", tuple(given)

    def _needed(self, sql: str) -> dict[str, Definition]:
        """The definitions of the tables that ``sql`` names, each after the steps it takes."""
        tables = {name: definition for name, definition in self.tables.items() if names(name, sql)}
        text = " ".join(definition.sql for definition in tables.values())
        steps: dict[str, Definition] = {}
        for name, definition in reversed(list(self.steps.items())):
            if names(name, text):
                steps[name] = definition
                text += " " + definition.sql
        return {**dict(reversed(steps.items())), **tables}


AS_THEY_ARE = View()
"""Every table itself."""


def names(name: str, sql: str) -> bool:
    """Whether ``sql`` names it unqualified."""
    return re.search(rf"(?<![\w.]){name}(?!\w)", sql) is not None


def _written(name: str, definition: Definition, given: list[object]) -> str:
    """``name as (…)``, its values added to ``given`` and numbered after what is there."""
    start = len(given)
    given.extend(definition.values)
    sql = _NUMBER.sub(lambda found: f"${int(found[1]) + start}", definition.sql)
    return f"{name} as {'' if definition.kept else 'not '}materialized ({sql})"
