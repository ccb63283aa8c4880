"""A tenant's own channel rules: conditions a person can read, and the functions the pipeline asks. Pure.

All texts are compared without regard to case. ``matches`` takes a pattern in which ``*`` stands for any text: it is read once
from left to right, so no pattern can take long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coursesignal.plugin import ChannelRule, Hit

MAX_RULES = 100
FIRST = -1_000_000
"""The weight of a tenant's first rule: before every plugin's."""

Text = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]
Field = Literal["source", "medium", "campaign", "referrerHost", "clickId"]
Test = Literal["equals", "contains", "startsWith", "endsWith", "matches"]


class Condition(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One thing that must hold of a touch; ``negate`` turns it round."""

    field: Field
    test: Test
    value: Text
    negate: bool = False


class OwnRule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Put a touch of which every condition holds into ``channel``."""

    channel: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    conditions: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=10)]


def slug_of(number: int) -> str:
    """What the tenant's rule ``number``, from 0, is called where rules are named."""
    return f"own-{number + 1}"


def channel_rules(rules: Sequence[OwnRule]) -> tuple[ChannelRule, ...]:
    """The rules as the pipeline asks them, in their order, before those of plugins and core."""
    return tuple(
        ChannelRule(
            slug=slug_of(number), channel=rule.channel.strip(), applies=_all(rule.conditions), weight=FIRST + number
        )
        for number, rule in enumerate(rules)
    )


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, in which ``*`` stands for any text; both are compared as they are."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(first) + len(last) > len(text) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": lambda wanted, text: text == wanted,
    "contains": lambda wanted, text: wanted in text,
    "startsWith": lambda wanted, text: text.startswith(wanted),
    "endsWith": lambda wanted, text: text.endswith(wanted),
    "matches": matches,
}
_FIELDS: Mapping[str, Callable[[Hit], str]] = {
    "source": lambda hit: hit.source,
    "medium": lambda hit: hit.medium,
    "campaign": lambda hit: hit.campaign,
    "referrerHost": lambda hit: hit.referrer_host,
    "clickId": lambda hit: hit.click_id,
}


def _all(conditions: Sequence[Condition]) -> Callable[[Hit], bool]:
    asked = [(_FIELDS[c.field], _TESTS[c.test], c.value.strip().lower(), not c.negate) for c in conditions]

    def applies(hit: Hit) -> bool:
        return all(test(wanted, read(hit).lower()) is expected for read, test, wanted, expected in asked)

    return applies
