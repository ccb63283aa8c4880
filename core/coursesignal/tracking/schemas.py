"""What crosses the border in tracking: bodies of the collect endpoint, the script and the sites."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_EVENTS = 50
SITE_KEY_PATTERN = r"^[A-Za-z0-9_-]{16,64}$"

EventType = Literal["pageview", "identify", "custom"]


class EventIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One event as a browser sends it; ``name`` is a custom event's name, or the person's name in an identify."""

    event_id: UUID
    type: EventType
    at: Annotated[datetime, Meta(tz=True)] | None = None
    url: str | None = None
    referrer: str | None = None
    title: str | None = None
    email: str | None = None
    name: str | None = None
    props: dict[str, Any] | None = None


class CollectIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Body of POST /api/tracking/event: ``events``, or one ``event``."""

    site_key: Annotated[str, Meta(pattern=SITE_KEY_PATTERN)]
    visitor_id: UUID
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None
    """The client's clock as it sent this: tells how wrong its times are."""
    events: Annotated[tuple[EventIn, ...], Meta(min_length=1, max_length=MAX_EVENTS)] | UnsetType = UNSET
    event: EventIn | UnsetType = UNSET


class Dropped(msgspec.Struct, frozen=True, rename="camel"):
    """One event that was understood and refused."""

    event_id: UUID
    reason: str


class CollectOut(msgspec.Struct, frozen=True):
    """Answer of the collect endpoint: how many events are stored, and which are not."""

    accepted: int
    dropped: tuple[Dropped, ...] = ()


class CollectToldOut(CollectOut, frozen=True, rename="camel"):
    """The same, and what the tracker needs besides: the visitor id to go on with, and the parameter for links to some hosts."""

    visitor_id: UUID | UnsetType = UNSET
    link: str | UnsetType = UNSET
    hosts: str | UnsetType = UNSET
    """A regular expression."""


class ScriptInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a site's tracking is doing; ``dropped``, ``corrected`` and ``ignoredLinks`` count the last seven days by reason."""

    site_key: str
    script_url: str
    status: Literal["waiting", "receiving"]
    events_today: int
    dropped: dict[str, int]
    last_event_at: datetime | None = None
    corrected: dict[str, int] = {}
    ignored_links: dict[str, int] = {}


class Instructions(msgspec.Struct, frozen=True):
    """Where to paste the snippet, step by step, per kind of website."""

    kajabi: str
    teachable: str
    general: str


class ScriptOut(msgspec.Struct, frozen=True, rename="camel"):
    """The snippet to paste, and where."""

    site_key: str
    snippet: str
    instructions: Instructions


class SiteOut(msgspec.Struct, frozen=True, rename="camel"):
    """One website of a tenant; a revoked one takes in nothing."""

    id: UUID
    name: str
    site_key: str
    allowed_hosts: list[str]
    linked_hosts: list[str]
    consent_first: bool
    cookieless: bool
    outbound_links: bool
    form_emails: bool
    created_at: datetime
    revoked_at: datetime | None


class SitesOut(msgspec.Struct, frozen=True):
    """A tenant's websites, oldest first."""

    items: list[SiteOut]


SiteName = Annotated[str, Meta(min_length=1, max_length=100)]
HostList = Annotated[
    list[str], Meta(max_length=50, description="Host names; each includes its subdomains. Empty: any host.")
]


LinkedHosts = Annotated[
    list[str],
    Meta(
        max_length=50,
        description="Your other domains, such as the one your checkout is on; each includes its subdomains. "
        "Links and forms that lead there carry the visitor along.",
    ),
]
ConsentFirst = Annotated[bool, Meta(description="Nothing is kept or sent before CourseSignal.consent().")]
Cookieless = Annotated[bool, Meta(description="Nothing is kept in the browser; a visitor is known for a day.")]
OutboundLinks = Annotated[bool, Meta(description="Clicks on links to other websites become events named outbound.")]
FormEmails = Annotated[bool, Meta(description="The e-mail address in a form that is submitted identifies the visitor.")]


class SiteIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A website to add."""

    name: SiteName
    allowed_hosts: HostList = []
    linked_hosts: LinkedHosts = []
    consent_first: ConsentFirst = False
    cookieless: Cookieless = False
    outbound_links: OutboundLinks = False
    form_emails: FormEmails = False


class SiteChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to change about a website; ``rotateKey`` gives it a new key and ends the old one."""

    name: SiteName | UnsetType = UNSET
    allowed_hosts: HostList | UnsetType = UNSET
    linked_hosts: LinkedHosts | UnsetType = UNSET
    consent_first: ConsentFirst | UnsetType = UNSET
    cookieless: Cookieless | UnsetType = UNSET
    outbound_links: OutboundLinks | UnsetType = UNSET
    form_emails: FormEmails | UnsetType = UNSET
    rotate_key: bool = False
