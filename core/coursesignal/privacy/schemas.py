"""What the privacy calls take and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from coursesignal.auth.schemas import Answer, Body
from coursesignal.tenancy.keeping import RetentionDays

Address = Annotated[str, Meta(max_length=320, description="The e-mail address that is asked about.")]


class Subject(Body, frozen=True, kw_only=True):
    """Whose data."""

    email: Address


class PrivacyChange(Body, frozen=True, kw_only=True):
    """Null keeps everything."""

    retention_days: RetentionDays | None


class RetentionRun(Answer, frozen=True, kw_only=True):
    """One night's clearing away of what is older than ``cutoff``."""

    cutoff: datetime
    started_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int]


class PrivacyOut(Answer, frozen=True, kw_only=True):
    """The tenant's settings, what the last runs removed, and how many erasures there are by status."""

    retention_days: int | None
    last_run: RetentionRun | None
    runs: Sequence[RetentionRun]
    erasures: Mapping[str, int]


class Accepted(Answer, frozen=True, kw_only=True):
    """The work is on record; ask for it by ``id``."""

    id: UUID


class ExportOut(Answer, frozen=True, kw_only=True):
    """A copy of what is known of somebody; the link works without a login until ``expiresAt``."""

    id: UUID
    status: Literal["pending", "ready", "expired"]
    requested_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    counts: Mapping[str, int]
    download_url: str | None


class ErasureOut(Answer, frozen=True, kw_only=True):
    """An erasure; ``subject`` is the address as a keyed hash, as the audit log names it."""

    id: UUID
    subject: str
    status: Literal["pending", "done", "lifted"]
    requested_at: datetime
    finished_at: datetime | None
    lifted_at: datetime | None
    counts: Mapping[str, int]
