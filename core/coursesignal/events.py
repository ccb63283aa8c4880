"""Facts core announces after the transaction that made them has committed; delivered at least once, in no fixed order.

Each event has a hook of the same name (``coursesignal.plugins.hookspecs``). Events carry ids and amounts, never e-mail addresses.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in one tenant."""

    name: ClassVar[str]

    id: UUID
    """The same on every delivery: remember it to make an effect happen once."""
    tenant_id: UUID
    occurred_at: datetime


class TenantCreated(Event, frozen=True, kw_only=True):
    """A tenant was created."""

    name = "tenant_created"


class TenantArchived(Event, frozen=True, kw_only=True):
    """A tenant was archived: it takes in nothing any more."""

    name = "tenant_archived"


class VisitorIdentified(Event, frozen=True, kw_only=True):
    """An anonymous visitor became a known person."""

    name = "visitor_identified"

    visitor_id: UUID
    person_id: UUID


class PeopleMerged(Event, frozen=True, kw_only=True):
    """Two people turned out to be one; ``from_person_id`` now lives on as ``into_person_id``."""

    name = "people_merged"

    from_person_id: UUID
    into_person_id: UUID


class TouchesRecorded(Event, frozen=True, kw_only=True):
    """A batch of touches was stored."""

    name = "touches_recorded"

    touch_ids: tuple[UUID, ...]


class PurchaseRecorded(Event, frozen=True, kw_only=True):
    """A purchase got its first money; ``amount_minor`` is what was charged so far, before refunds."""

    name = "purchase_recorded"

    purchase_id: UUID
    amount_minor: int
    currency: str


class PurchaseRefunded(Event, frozen=True, kw_only=True):
    """Money went back; ``amount_minor`` > 0 is this refund alone."""

    name = "purchase_refunded"

    purchase_id: UUID
    amount_minor: int
    currency: str


class AttributionComputed(Event, frozen=True, kw_only=True):
    """A purchase's credits were written, for the first time or again."""

    name = "attribution_computed"

    purchase_id: UUID


class RecommendationRaised(Event, frozen=True, kw_only=True):
    """A rule found something to advise that it did not advise before."""

    name = "recommendation_raised"

    rule: str
    key: str
    title: str


class ConnectionOpened(Event, frozen=True, kw_only=True):
    """A platform was connected."""

    name = "connection_opened"

    connection_id: UUID
    platform: str


class ConnectionLost(Event, frozen=True, kw_only=True):
    """A platform refuses us or was disconnected; ``reason`` is in words a person can act on."""

    name = "connection_lost"

    connection_id: UUID
    platform: str
    reason: str


class SyncCompleted(Event, frozen=True, kw_only=True):
    """A sync run ended well."""

    name = "sync_completed"

    connection_id: UUID
    platform: str
    processed: int
    matched: int


EVENTS: tuple[type[Event], ...] = (
    TenantCreated,
    TenantArchived,
    VisitorIdentified,
    PeopleMerged,
    TouchesRecorded,
    PurchaseRecorded,
    PurchaseRefunded,
    AttributionComputed,
    RecommendationRaised,
    ConnectionOpened,
    ConnectionLost,
    SyncCompleted,
)
"""Every event there is, in the order of the documentation."""
