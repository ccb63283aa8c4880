"""What the connection endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from coursesignal.plugin import Account

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
    status: SyncState
    total: int | None = None
    processed: int
    matched: int
    message: str
    started_at: datetime | None
    finished_at: datetime | None = None
    error: str | None = None


class ConnectionStatus(Wire, frozen=True, kw_only=True):
    """How a connection fares; ``problem`` is in the platform's own words."""

    connected: bool
    state: Literal["off", "connecting", "ready", "needs_reauth", "failing", "disconnected"]
    account: Account | None = None
    webhook_url: str | None = None
    webhooks: Literal["registered", "manual"] | None = None
    last_sync_at: datetime | None = None
    last_webhook_at: datetime | None = None
    problem: str | None = None


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
