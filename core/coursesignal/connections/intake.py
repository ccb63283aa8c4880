"""What push and sync share: platform events become purchases, charges and credits, whichever way and however often they come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.attribution import service as attribution
from coursesignal.commerce import service as commerce
from coursesignal.plugin import AttributionModel, Charge, PlatformEvent, PurchaseFacts, RefundTotal

MAX_MINOR = 2**53
_CURRENCY = re.compile(r"^[A-Z]{3}$")
T = TypeVar("T")


class NotAnEvent(ValueError):
    """A connector returned something that no platform event may be."""


async def apply(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    connection_id: UUID,
    platform: str,
    events: Sequence[PlatformEvent],
    models: Mapping[str, AttributionModel],
) -> commerce.Recorded:
    """Book ``events`` and credit what they changed, in the caller's transaction. Raises NotAnEvent."""
    recorded = await commerce.record(conn, tenant_id, connection_id, platform, checked(events))
    await attribution.credit(conn, tenant_id, recorded.purchase_ids, models)
    return recorded


def checked(events: Sequence[PlatformEvent]) -> Sequence[PlatformEvent]:
    """The same events without NUL characters, which the database cannot hold; raises NotAnEvent for impossible ones."""
    return [_checked(without_nul(event)) for event in events]


def _checked(event: PlatformEvent) -> PlatformEvent:
    if not isinstance(event, Charge | RefundTotal | PurchaseFacts):
        raise NotAnEvent(f"{type(event).__name__} is no platform event")
    if not event.purchase_keys or not all(event.purchase_keys):
        raise NotAnEvent("an event without purchase keys")
    if not isinstance(event.occurred_at, datetime) or event.occurred_at.tzinfo is None:
        raise NotAnEvent("an event without a time, or one without its offset")
    if isinstance(event, PurchaseFacts):
        return event
    amount = event.amount_minor if isinstance(event, Charge) else event.total_minor
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MAX_MINOR:
        raise NotAnEvent(f"{amount!r} is no amount in minor units")
    if not _CURRENCY.match(event.currency):
        raise NotAnEvent(f"{event.currency!r} is no currency")
    return event


def without_nul(value: T) -> T:
    """``value`` with every NUL taken out of its texts, at any depth."""
    return _clean(value)  # type: ignore[no-any-return]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "") if "\x00" in value else value
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        cleaned = {name: _clean(field) for name, field in fields.items()}
        changed = any(cleaned[name] is not field for name, field in fields.items())
        return msgspec.structs.replace(value, **cleaned) if changed else value
    if isinstance(value, Mapping):
        cleaned = {_clean(key): _clean(inner) for key, inner in value.items()}
        return value if cleaned == value else cleaned
    if isinstance(value, tuple | list):
        parts = [_clean(inner) for inner in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else type(value)(parts)
    return value
