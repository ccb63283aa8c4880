"""What the pipeline's steps pass along: one batch of one tenant's events, and what became of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from coursesignal.plugin import ChannelRule
from coursesignal.tracking.bots import automation
from coursesignal.tracking.devices import AUTOMATED, Device, device_of
from coursesignal.tracking.exclusions import Exclusions
from coursesignal.tracking.origins import Origin, read_origin
from coursesignal.tracking.reasons import DropReason
from coursesignal.tracking.urls import REMEMBERED

_RANK = {"pageview": 0, "custom": 1, "identify": 2}


@lru_cache(maxsize=REMEMBERED)
def _origin_of(url: str, referrer: str, exclusions: Exclusions) -> Origin:
    """The same addresses come again and again."""
    return read_origin(url, referrer, exclusions.own, exclusions.counted)


@dataclass(slots=True)
class Event:
    """One stored event; ``session_id`` is set once it has been put into a session."""

    event_id: UUID
    occurred_at: datetime
    received_at: datetime
    site_id: UUID
    visitor_id: UUID
    type: str
    url: str
    referrer: str
    email: str | None
    user_agent: str
    country: str = ""
    hosted: bool = False
    """Its address belongs to a hosting company."""
    ip_hash: bytes | None = None
    session_id: UUID | None = None
    origin: Origin | None = None

    @property
    def order(self) -> tuple[datetime, int, UUID]:
        """Where it stands in its visitor's history, whenever it arrived; a page view comes before what it led to."""
        return (self.occurred_at, _RANK.get(self.type, 3), self.event_id)

    def read_origin(self, exclusions: Exclusions) -> Origin:
        """Where it came from, read once."""
        if self.origin is None:
            self.origin = _origin_of(self.url, self.referrer, exclusions)
        return self.origin

    @property
    def fingerprint(self) -> bytes | None:
        """The same for the same make of browser at the same address; None where the address was not taken."""
        if self.ip_hash is None:
            return None
        return hashlib.blake2b(self.user_agent.encode(), key=self.ip_hash, digest_size=8).digest()

    def read_device(self) -> Device:
        """What it was made with; automation that counts is marked as such."""
        found = device_of(self.user_agent)
        if self.hosted or automation(self.user_agent) is not None:
            return found._replace(kind=AUTOMATED)
        return found


@dataclass(slots=True)
class Session:
    """One visit: events of one visitor with no gap above 30 minutes; what it was made with is what its first event says.

    ``last_key`` is the origin of its latest touch.
    """

    id: UUID
    visitor_id: UUID
    site_id: UUID
    started_at: datetime
    ended_at: datetime
    landing_url: str
    pageviews: int = 0
    events: int = 0
    device: str = ""
    browser: str = ""
    system: str = ""
    country: str = ""
    fingerprint: bytes | None = None
    last_key: tuple[str, ...] | None = None


@dataclass(slots=True)
class Touch:
    """An event that says where its visitor came from."""

    event: Event
    session_id: UUID
    origin: Origin


@dataclass(slots=True)
class Visits:
    """What the batch did to its visitors' sessions and touches."""

    sessions: list[Session] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    moved: list[Event] = field(default_factory=list)
    """Events of earlier batches that now belong to another session."""
    gone_sessions: list[UUID] = field(default_factory=list)
    """Sessions that a late event joined to an earlier one."""
    gone_touches: list[tuple[UUID, UUID]] = field(default_factory=list)
    """(touch, visitor) of touches that a late event made superfluous."""
    rewritten_visitors: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class Batch:
    """One transaction's work, from claim to announcement."""

    tenant_id: UUID
    rules: Sequence[ChannelRule]
    claimed: bool = False
    is_full: bool = False
    """There may be more waiting than it took."""
    event_ids: list[UUID] = field(default_factory=list)
    first_at: datetime = datetime.min
    last_at: datetime = datetime.max
    time_zone: str = "UTC"
    count_automation: bool = True
    has_goals: bool = False
    fallback_match: bool = False
    checkout_pages: tuple[str, ...] = ()
    exclusions: Mapping[UUID, Exclusions] = field(default_factory=dict[UUID, Exclusions])
    """By site: referrers that bring nobody."""
    drops: Counter[tuple[date, UUID, str]] = field(default_factory=Counter[tuple[date, UUID, str]])
    events: list[Event] = field(default_factory=list)
    aside: dict[DropReason, list[Event]] = field(default_factory=dict[DropReason, list["Event"]])
    """Events of crawlers and, where the tenant does not count it, of other automation."""
    visits: Visits = field(default_factory=Visits)
    new_touches: list[UUID] = field(default_factory=list)
    touched_visitors: set[UUID] = field(default_factory=set)
    changed_at: set[datetime] = field(default_factory=set)
    """When sessions and touches of earlier batches were that this one moved, flagged or removed."""
    people: Mapping[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    """Known people by visitor, of this batch's visitors."""
    processed: int = 0

    def read_origin(self, event: Event) -> Origin:
        """Where one of the batch's events came from."""
        return event.read_origin(self.exclusions.get(event.site_id, Exclusions()))

    def drop(self, day: date, site_id: UUID, reason: DropReason) -> None:
        """Count one refused event."""
        self.drops[day, site_id, reason.value] += 1


Connection = Any
"""An asyncpg connection inside the tenant's transaction; asyncpg has no types of its own."""
