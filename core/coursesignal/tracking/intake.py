"""From the body of a collect request to rows: parse, refuse, stamp. Pure; what is refused here costs no database work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.errors import BadRequest, FieldError
from coursesignal.tracking.networks import UNKNOWN, Network
from coursesignal.tracking.reasons import Correction, DropReason
from coursesignal.tracking.schemas import CollectIn, Dropped, EventIn
from coursesignal.tracking.urls import host_matches, host_of
from coursesignal.web.problems import field_error

MAX_AGE = timedelta(days=31)
MAX_AHEAD = timedelta(minutes=1)
MAX_SKEW = timedelta(minutes=1)
"""How wrong a client's clock may be before its times are corrected."""
MAX_TEXT = 8192
MAX_NAME = 256
MAX_EMAIL = 320
MAX_PROPS_BYTES = 16 * 1024
MAX_PROPS_DEPTH = 8

Row = tuple[
    UUID,
    UUID,
    datetime,
    UUID,
    UUID,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    str,
    bytes | None,
    str | None,
    bool | None,
]
"""tenant_id, event_id, occurred_at, site_id, visitor_id, type, name, url, referrer, title, email, props, user_agent, ip_hash,
country, hosted"""

_decode_body = msgspec.json.Decoder(CollectIn).decode
_encode = msgspec.json.Encoder().encode
_ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a site key leads; ``allowed_hosts`` empty means any."""

    tenant_id: UUID
    id: UUID
    allowed_hosts: tuple[str, ...]
    linked_hosts: tuple[str, ...] = ()
    cookieless: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent the request, as far as it is kept."""

    user_agent: str
    ip_hash: bytes | None
    origin_host: str
    network: Network = UNKNOWN


def parse(body: bytes) -> tuple[CollectIn, Sequence[EventIn]]:
    """The submission and its events; raises BadRequest naming what is wrong, whatever the bytes are."""
    try:
        submission = _decode_body(body)
    except msgspec.ValidationError as error:
        wrong = field_error(error)
        raise BadRequest("The body is not as it should be.", detail=str(error), errors=[wrong]) from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except ValueError as error:
        raise BadRequest("The body is not JSON.", detail=str(error)) from None
    if submission.events and not submission.event:
        return submission, submission.events
    if submission.event and not submission.events:
        return submission, (submission.event,)
    raise BadRequest(
        "Send `events`, or one `event`.",
        errors=[FieldError("events", "Exactly one of `events` and `event` is required.")],
    )


@dataclass(slots=True)
class Stamped:
    """What becomes of a submission's events: rows to store, refusals, and times that had to be corrected."""

    rows: list[Row] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    corrected: list[Correction] = field(default_factory=list)


def stamp(
    submission: CollectIn, events: Sequence[EventIn], site: Site, sender: Sender, now: datetime, *, may_hold_nul: bool
) -> Stamped:
    """The events as rows; ``may_hold_nul`` is False when the body has no escaped NUL anywhere.

    A client whose clock is wrong, as its ``sentAt`` shows, has its times corrected by the difference. A time that is then still
    ahead of ours, or too old to be one, is replaced by the time of arrival.
    """
    found = Stamped()
    arrived = now
    skew = _skew(submission.sent_at, now)
    for event in events:
        reason = refusal(event, site, sender, may_hold_nul=may_hold_nul)
        props = None
        if reason is None and event.props:
            props, reason = _props_text(event.props)
        if reason is not None:
            found.dropped.append(Dropped(event.event_id, reason.value))
            continue
        at, correction = _time_of(event, skew, now)
        if correction is not None:
            found.corrected.append(correction)
        if at is None:
            at = arrived
            arrived += _ONE_MICROSECOND  # keeps the order of a batch
        found.rows.append(
            (
                site.tenant_id, event.event_id, at, site.id, submission.visitor_id, event.type, event.name, event.url,
                event.referrer, event.title, event.email, props, sender.user_agent, sender.ip_hash, *sender.network,
            )
        )  # fmt: skip
    return found


def _skew(sent_at: datetime | None, now: datetime) -> timedelta:
    """How far the client's clock is behind ours; nothing when it is right, or too wrong to be a clock."""
    skew = now - sent_at if sent_at is not None else timedelta(0)
    return skew if MAX_SKEW < abs(skew) <= MAX_AGE else timedelta(0)


def _time_of(event: EventIn, skew: timedelta, now: datetime) -> tuple[datetime | None, Correction | None]:
    """When the event happened, None for now; and what had to be corrected about what it says."""
    if event.at is None:
        return None, None
    ahead = event.at - now + skew  # as a difference: a time of the year 9999 cannot be added to
    if ahead > MAX_AHEAD:
        return None, Correction.FUTURE
    if ahead < -MAX_AGE:
        return None, Correction.TOO_OLD
    return (now + min(ahead, timedelta(0)), Correction.CLOCK) if skew else (event.at, None)


def refusal(event: EventIn, site: Site, sender: Sender, *, may_hold_nul: bool) -> DropReason | None:
    """Why this event is not stored, or None."""
    if event.url is not None and event.url[:8].lower() != "https://" and event.url[:7].lower() != "http://":
        return DropReason.INVALID_URL
    if site.allowed_hosts and not _host_allowed(event.url, sender.origin_host, site.allowed_hosts):
        return DropReason.HOST_NOT_ALLOWED
    if may_hold_nul and _holds_nul(event):
        return DropReason.INVALID_TEXT
    if _too_long(event):
        return DropReason.TOO_LONG
    if event.type == "identify" and not _usable_email(event.email):
        return DropReason.INVALID_EMAIL
    if event.type == "custom" and not event.name:
        return DropReason.MISSING_NAME
    return None


def _host_allowed(url: str | None, origin_host: str, allowed: Sequence[str]) -> bool:
    """Every host the request names must be allowed, and it must name one."""
    hosts = [host for host in (host_of(url) if url else None, origin_host or None) if host is not None]
    return bool(hosts) and all(host_matches(host, allowed) for host in hosts)


def _holds_nul(event: EventIn) -> bool:
    texts = (event.url, event.referrer, event.title, event.email, event.name)
    return any(text is not None and "\x00" in text for text in texts)


def _too_long(event: EventIn) -> bool:
    return (
        (event.url is not None and len(event.url) > MAX_TEXT)
        or (event.referrer is not None and len(event.referrer) > MAX_TEXT)
        or (event.title is not None and len(event.title) > MAX_TEXT)
        or (event.name is not None and len(event.name) > MAX_NAME)
        or (event.email is not None and len(event.email) > MAX_EMAIL)
    )


def _usable_email(email: str | None) -> bool:
    if email is None:
        return False
    local, at, domain = email.strip().rpartition("@")
    return bool(at and local and domain) and not any(
        character.isspace() or character < " " for character in email.strip()
    )


def _props_text(props: dict[str, Any]) -> tuple[str | None, DropReason | None]:
    """The properties as JSON text, or why they cannot be stored."""
    try:
        if not _storable(props, MAX_PROPS_DEPTH):
            return None, DropReason.INVALID_PROPS
        text = _encode(props)
    except (OverflowError, ValueError, RecursionError):
        return None, DropReason.INVALID_PROPS
    if len(text) > MAX_PROPS_BYTES:
        return None, DropReason.INVALID_PROPS
    return text.decode(), None


def _storable(value: object, depth: int) -> bool:
    """Whether jsonb takes the value and any later reader can decode it: no NUL, limited nesting."""
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, dict):
        return depth > 0 and all("\x00" not in key and _storable(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_storable(item, depth - 1) for item in value)
    return True


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)
