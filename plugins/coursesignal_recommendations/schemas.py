"""What the recommendations API answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A piece of advice that held when it was last generated."""

    rule: str
    key: str
    type: Literal["opportunity", "warning", "insight"]
    priority: int
    """1 is most urgent."""
    title: str
    body: str
    evidence: Mapping[str, float | int | str]
    link: str
    first_seen_at: datetime


class Recommendations(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The advice of the last run, most urgent first."""

    status: Literal["never_generated", "not_enough_data", "nothing_to_advise", "ok"]
    message: str
    """What the status means, in words."""
    generated_at: datetime | None
    purchases: int
    """How many purchases there were to learn from."""
    items: tuple[Item, ...]
