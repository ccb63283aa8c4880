"""Platform events as they are kept when they tell of somebody whose data was erased: money and goods, nobody's name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.identity.emails import email_key
from coursesignal.identity.sightings import Identifier
from coursesignal.identity.tombstones import erased_among
from coursesignal.plugin import Charge, Contact, PlatformEvent, PurchaseFacts

IMPERSONAL_HINTS = frozenset({"coupon", "refund"})
"""Hints that say nothing of the buyer."""


async def without_erased(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, events: Sequence[PlatformEvent]
) -> Sequence[PlatformEvent]:
    """The same events, those of erased buyers and recipients without what names them."""
    named = [identifiers_in(connection_id, event) for event in events]
    erased = await erased_among(conn, tenant_id, {one for of_event in named for one in of_event})
    if not erased:
        return events
    return [
        _forgotten(connection_id, event, erased) if erased.intersection(of_event) else event
        for event, of_event in zip(events, named, strict=True)
    ]


def identifiers_in(connection_id: UUID, event: PlatformEvent) -> Sequence[Identifier]:
    """Everybody an event names: the buyer by address and contact id, the recipient of a gift by address."""
    found: list[Identifier] = []
    if isinstance(event, Charge | PurchaseFacts):
        found += _of_contact(connection_id, event.contact)
    if isinstance(event, PurchaseFacts) and (key := email_key(event.gift_recipient)) is not None:
        found.append(("email", key))
    return found


def _of_contact(connection_id: UUID, contact: Contact) -> Sequence[Identifier]:
    found: list[Identifier] = []
    if (key := email_key(contact.email)) is not None:
        found.append(("email", key))
    if contact.external_id:
        found.append(("contact", f"{connection_id}:{contact.external_id}"))
    return found


def _forgotten(connection_id: UUID, event: PlatformEvent, erased: Collection[Identifier]) -> PlatformEvent:
    assert isinstance(event, Charge | PurchaseFacts)
    if any(one in erased for one in _of_contact(connection_id, event.contact)):
        event = msgspec.structs.replace(event, contact=Contact(), hints=impersonal(event.hints))
    if isinstance(event, PurchaseFacts) and ("email", email_key(event.gift_recipient)) in erased:
        event = msgspec.structs.replace(event, gift_recipient=None)
    return event


def impersonal(hints: Mapping[str, str]) -> dict[str, str]:
    """The hints that may stay."""
    return {name: value for name, value in hints.items() if name in IMPERSONAL_HINTS}
