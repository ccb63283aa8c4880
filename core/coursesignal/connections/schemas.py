"""What the connection endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from coursesignal.connections.states import State
from coursesignal.plugin import Account

Trust = Literal["signed", "confirmed", "unverified"]
SyncKind = Literal["first", "manual", "incremental", "rescan"]
SyncState = Literal["pending", "running", "completed", "failed"]
InboxState = Literal["received", "done", "ignored", "quarantined"]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of everything that goes out: camelCase."""


class ConnectForm(Wire, frozen=True, kw_only=True):
    """How to connect a platform: a form to fill in, or its own consent page."""

    kind: Literal["credentials", "consent"]
    name: str
    schema: dict[str, Any] | None = None
    authorize_url: str | None = None
    help: str = ""
    webhook_help: str = ""


class ConnectedAnswer(Wire, frozen=True, kw_only=True):
    """A platform was connected."""

    status: Literal["connected"] = "connected"
    account: Account
    webhook_url: str
    webhooks: Literal["registered", "manual"]
    webhook_help: str = ""
    """What to do in the platform's settings when ``webhooks`` is "manual"."""
    sync_run_id: UUID


class SyncStarted(Wire, frozen=True, kw_only=True):
    """A sync run to watch."""

    sync_run_id: UUID


class SyncStatus(Wire, frozen=True, kw_only=True):
    """How far a sync run is; ``message`` is for people."""

    sync_run_id: UUID
    connection_id: UUID
    status: SyncState
    kind: SyncKind
    """``rescan`` looks back once a day for refunds of old sales."""
    total: int | None = None
    processed: int
    matched: int
    message: str
    started_at: datetime | None
    finished_at: datetime | None = None
    error: str | None = None


class Unverified(Wire, frozen=True, kw_only=True):
    """Money that only unsigned webhooks told of so far; it counts, and the platform's API has yet to confirm it."""

    currency: str
    amount_minor: int
    charges: int


class Compared(Wire, frozen=True, kw_only=True):
    """Both sides' net totals in one currency, and of how many pieces of money they are."""

    currency: str
    ours_minor: int
    theirs_minor: int
    difference_minor: int
    ours: int
    theirs: int


class Differing(Wire, frozen=True, kw_only=True):
    """Money on which the sides do not agree; null is a side that does not have it."""

    external_id: str
    """The platform's own id of the payment, or of the payment that was refunded."""
    what: Literal["payment", "refunds"]
    currency: str
    ours_minor: int | None
    theirs_minor: int | None


class PlatformReconciliation(Wire, frozen=True, kw_only=True):
    """Our totals against the platform's, as the last sync that looked back found them."""

    agrees: bool
    message: str
    checked_at: datetime
    since: datetime
    until: datetime
    found: int
    """Pieces of money that this sync brought first."""
    currencies: list[Compared]
    differing: list[Differing]
    """The first 50."""


class ConnectionStatus(Wire, frozen=True, kw_only=True):
    """How a connection fares; ``problem`` is in the platform's own words."""

    connected: bool
    state: State
    connection_id: UUID | None = None
    account: Account | None = None
    webhook_url: str | None = None
    webhooks: Literal["registered", "manual"] | None = None
    last_sync_at: datetime | None = None
    last_webhook_at: datetime | None = None
    problem: str | None = None
    state_since: datetime | None = None
    unverified: list[Unverified] = []
    left_out: dict[str, int] = {}
    """Webhooks of the last 7 days that became nothing, by reason; ``unreadable`` ones are kept in quarantine."""
    reconciliation: PlatformReconciliation | None = None


class Change(Wire, frozen=True, kw_only=True):
    """A line of a connection's journal."""

    at: datetime
    happened: str
    from_state: State
    to_state: State
    reason: str | None


class Usage(Wire, frozen=True, kw_only=True):
    """What a connection may ask of its platform, what it asked, how often and how far back it looks; null is no limit."""

    requests_per_minute: int | None
    monthly_requests: int | None
    used_this_month: int
    sync_minutes: int
    rescan_days: int


class ConnectionLine(ConnectionStatus, frozen=True, kw_only=True):
    """One of a tenant's connections."""

    platform: str
    name: str
    signed_webhooks: bool
    """Whether the platform signs its webhooks; where it does not, the address's key is what tells them from forgeries."""
    old_webhook_url_until: datetime | None = None


class ConnectionDetail(ConnectionLine, frozen=True, kw_only=True):
    """One connection with its journal, newest first, and its limits."""

    usage: Usage
    changes: list[Change]


class LimitsChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The tenant's own limits and schedule; null is the connector's."""

    requests_per_minute: Annotated[int, Meta(ge=1, le=100000)] | msgspec.UnsetType | None = msgspec.UNSET
    monthly_requests: Annotated[int, Meta(ge=1, le=2000000000)] | msgspec.UnsetType | None = msgspec.UNSET
    sync_minutes: Annotated[int, Meta(ge=5, le=1440)] | msgspec.UnsetType | None = msgspec.UNSET
    rescan_days: Annotated[int, Meta(ge=1, le=365)] | msgspec.UnsetType | None = msgspec.UNSET


class WebhookCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How webhooks that were set up by hand stand: ``arrived_at`` is when the last one came, ``lacks`` what is still to do."""

    is_set_up: bool
    arrived_at: datetime | None
    lacks: str


class NewAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How long the old webhook address goes on working."""

    keep_old_hours: Annotated[int, Meta(ge=0, le=168)] = 24


class Tested(Wire, frozen=True, kw_only=True):
    """Credentials that work; nothing was stored."""

    status: Literal["works"] = "works"
    account: Account


class WebhookAnswer(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """What a platform hears about its webhook."""

    received: bool = False
    duplicate: bool = False


class InboxItem(Wire, frozen=True, kw_only=True):
    """A webhook as it was stored."""

    id: UUID
    platform: str
    connection_id: UUID
    status: InboxState
    problem: str | None
    received_at: datetime
    processed_at: datetime | None
    repeats: int
    """How many more times the same delivery came."""
    trust: Trust
    """``confirmed``: it is unsigned, and the platform's API told the same since."""


class InboxDetail(InboxItem, frozen=True, kw_only=True):
    """A webhook with what was in it, secrets redacted."""

    headers: dict[str, str]
    query: dict[str, str]
    body: str


class InboxPage(Wire, frozen=True, kw_only=True):
    """Webhooks, newest first."""

    items: list[InboxItem]
    next_cursor: str | None = None


class Replayed(Wire, frozen=True, kw_only=True):
    """How many webhooks are processed again."""

    queued: int
