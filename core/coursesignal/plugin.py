"""The public plugin API: what a plugin may import besides ``coursesignal.events`` and ``coursesignal.testing``."""

from __future__ import annotations

import abc
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable
from uuid import UUID

import msgspec
import pluggy
from msgspec import Meta

from coursesignal.currency import decimal_amount
from coursesignal.db.ddl import ForeignKey, migration, tenant_table
from coursesignal.db.ids import uuid7
from coursesignal.errors import (
    Conflict,
    CourseSignalError,
    FieldError,
    Gone,
    Invalid,
    NotFound,
    PasswordRequired,
    PasswordWrong,
    TooLittleData,
)
from coursesignal.reports import (
    CohortCell,
    CohortReport,
    ContentReport,
    CoverageReport,
    DailyReport,
    DrilldownReport,
    FunnelReport,
    GoalReport,
    JourneyBucket,
    JourneysReport,
    LifetimeReport,
    ModelComparison,
    NewReturningReport,
    PlansReport,
    ProductsReport,
    PurchaseDetail,
    RecentPurchases,
    ReportPeriod,
    Reports,
    SelfReportedReport,
    SetupState,
    SourcesReport,
    StudentsReport,
    Summary,
)
from coursesignal.security.outbound import AddressRefused

if TYPE_CHECKING:
    import httpx
    from litestar.types import ControllerRouterHandler

__all__ = [
    "API_VERSION",
    "PROJECT",
    "Account",
    "AddressRefused",
    "Advice",
    "AttributionModel",
    "AuthFailed",
    "BaseContext",
    "Capabilities",
    "ChannelRule",
    "Charge",
    "ChargeKind",
    "CohortCell",
    "CohortReport",
    "Command",
    "Conflict",
    "Connected",
    "Connection",
    "ConnectionContext",
    "Connector",
    "ConsentConnector",
    "ConsentRequest",
    "Contact",
    "ContentReport",
    "Context",
    "CoverageReport",
    "CredentialsRejected",
    "Cron",
    "DailyReport",
    "DrilldownReport",
    "EmailTemplate",
    "Exporter",
    "FieldError",
    "FittedAttributionModel",
    "ForeignKey",
    "FunnelReport",
    "GoalReport",
    "Gone",
    "Hit",
    "HostRefused",
    "Invalid",
    "Item",
    "Job",
    "JourneyBucket",
    "JourneysReport",
    "LifetimeReport",
    "ModelComparison",
    "NavItem",
    "NavLink",
    "NewReturningReport",
    "NoSettings",
    "NotFound",
    "Notices",
    "Page",
    "Panel",
    "PanelLink",
    "PasswordRequired",
    "PasswordWrong",
    "PathRecord",
    "Permission",
    "Plan",
    "PlansReport",
    "PlatformEvent",
    "PluginError",
    "ProductsReport",
    "PurchaseDetail",
    "PurchaseFacts",
    "RecentPurchases",
    "Recommendation",
    "RecommendationRule",
    "RefundTotal",
    "ReportPeriod",
    "Reports",
    "Routes",
    "Secret",
    "SelfReportedReport",
    "Settings",
    "SetupState",
    "Share",
    "ShareLink",
    "Shares",
    "Shell",
    "SourcesReport",
    "StudentsReport",
    "Summary",
    "Tenant",
    "TenantDb",
    "TenantLink",
    "TooLittleData",
    "Touch",
    "Unavailable",
    "WebhookRejected",
    "WebhookRequest",
    "decimal_amount",
    "hookimpl",
    "migration",
    "tenant_table",
    "uuid7",
]

PROJECT = "coursesignal"
API_VERSION = 1

hookimpl = pluggy.HookimplMarker(PROJECT)

Secret = Annotated[str, Meta(extra_json_schema={"format": "password", "x-secret": True, "writeOnly": True})]
"""Type of a settings or credentials field that is encrypted at rest, write-only and never sent back."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Base class of a plugin's per-tenant settings and of a connector's credentials; every field needs a default or a form entry.

    Use ``Annotated[str, Meta(title=…, description=…)]`` for the form's labels and :data:`Secret` for secrets. Fields are
    snake_case here and camelCase in the form and on the wire. Secrets stand at the top level, never inside another struct.
    """


class NoSettings(Settings):
    """What a plugin without settings is handed."""


SettingsT = TypeVar("SettingsT", bound=Settings)
SettingsT_co = TypeVar("SettingsT_co", bound=Settings, covariant=True)


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant a call is made for."""

    id: UUID
    slug: str
    name: str
    currency: str
    """ISO 4217, the currency of its reports."""
    time_zone: str
    """IANA name; a report's days are days of this zone."""


class Connection(Protocol):
    """A database connection inside an open transaction that sees one tenant's rows; asyncpg's methods, ``$1`` placeholders."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def execute(self, query: str, *args: Any) -> str: ...


class TenantDb(Protocol):
    """The tenant's database. Piccolo tables of the plugin work inside ``transaction()`` too."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction bound to the tenant; commits at the end, rolls back on an exception."""
        ...


class ShareLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that is in force, or was until it expired; its token is known to its holders alone."""

    subject: str
    has_password: bool
    expires_at: datetime | None
    created_at: datetime
    views: int
    last_viewed_at: datetime | None


@runtime_checkable
class Shares(Protocol):
    """Links to things of the tenant, for whoever has them; they lead to the plugin's routes of area "shared"."""

    async def create(self, subject: str, *, password: str = "", expires_at: datetime | None = None) -> str:
        """Make a link to ``subject``, a name of the plugin's own such as an id; returns its token, which is not kept.

        The subject's link before ends. Raises Invalid for a password or an expiry that cannot be.
        """
        ...

    async def find(self, subjects: Sequence[str]) -> Mapping[str, ShareLink]:
        """The links that are not revoked, by subject."""
        ...

    async def revoke(self, subject: str) -> bool:
        """End the subject's link at once; False when there was none."""
        ...

    async def views(self, subject: str) -> Sequence[tuple[date, int]]:
        """How often the subject's links were opened, by day (UTC), earlier links too."""
        ...


@runtime_checkable
class Share(Protocol):
    """The link that somebody followed; a handler of area "shared" or "shared_page" that asks for ``share`` is given it."""

    async def open(self, password: str = "") -> str:
        """What the link leads to; counts a view.

        Raises PasswordRequired (401), PasswordWrong (403), or a refusal for guessing too fast (429).
        """
        ...


@runtime_checkable
class Notices(Protocol):
    """What tenants that have the plugin on let it say in public (``ctx.publish``); ``notices`` of a handler of area "open"."""

    @property
    def of_one(self) -> bool:
        """Whether ``?site=`` asked for one tenant's alone."""
        ...

    async def read(self, board: str, *, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        """The bodies of a board's notices, latest ``at`` first; nothing else says whose they are."""
        ...


class BaseContext(Protocol):
    """What every call into a plugin is handed: always one tenant, never the whole installation."""

    @property
    def tenant(self) -> Tenant: ...
    @property
    def db(self) -> TenantDb: ...
    @property
    def http(self) -> httpx.AsyncClient:
        """A client with timeouts that reaches only the hosts the manifest names; relative URLs need none."""
        ...

    @property
    def outbound(self) -> httpx.AsyncClient:
        """A client for addresses a tenant entered: the public internet by https, whatever the name resolves to.

        It follows no redirects, waits 15 s and reads 64 KiB. Raises AddressRefused with words for the tenant.
        """
        ...

    @property
    def log(self) -> logging.LoggerAdapter[Any]: ...
    @property
    def reports(self) -> Reports:
        """The tenant's numbers, as ``/api/analytics`` gives them."""
        ...

    async def enqueue(
        self, job: str, /, *, run_at: datetime | None = None, key: str | None = None, **kwargs: Any
    ) -> None:
        """Put one of the plugin's own jobs on the queue, durable at return; the same ``key`` twice is one job."""
        ...

    async def send_email(self, template: str, to: str, /, *, key: str, **values: Any) -> None:
        """Queue a mail from one of the plugin's templates; the same ``key`` is sent once."""
        ...


@runtime_checkable
class Context(BaseContext, Protocol[SettingsT_co]):
    """The context of hooks, jobs, commands, routes and panels."""

    @property
    def settings(self) -> SettingsT_co: ...
    async def advice(self) -> Sequence[Advice]:
        """Ask every recommendation rule of the plugins this tenant has on; a rule that fails or takes over 10 s is left out."""
        ...

    @property
    def shares(self) -> Shares:
        """Links to the tenant's things for people without a login."""
        ...

    async def publish(self, board: str, key: str, body: Mapping[str, Any], *, at: datetime | None = None) -> None:
        """Say something in public, in place of what ``key`` said on that board; JSON values, ranked by ``at`` (now without).

        Only what the tenant agreed to: it is shown without a login, among other tenants' notices.
        """
        ...

    async def withdraw(self, board: str, key: str | None = None) -> None:
        """Take a notice down, or with None the tenant's whole board."""
        ...

    async def raise_recommendation(self, advice: Advice) -> None:
        """Announce advice that was not given before, as RecommendationRaised; the same rule and key are announced once."""
        ...


class ConnectionContext(BaseContext, Protocol[SettingsT_co]):
    """The context of a connector's calls: one connection of one tenant."""

    @property
    def credentials(self) -> SettingsT_co: ...
    @property
    def base_url(self) -> str:
        """The platform's address: the connector's ``api_url``, or the operator's override."""
        ...

    @property
    def webhook_url(self) -> str:
        """Where the platform should send this connection's webhooks."""
        ...

    @property
    def memo(self) -> Mapping[str, Any]:
        """What ``connect`` asked core to remember."""
        ...


class TenantLink(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant the logged-in person may switch to."""

    slug: str
    name: str
    role: str


class NavLink(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the dashboard menu, of a plugin this tenant has on; ``href`` is absolute within the site."""

    plugin: str
    label: str
    href: str
    icon: str


class PanelLink(msgspec.Struct, frozen=True, kw_only=True):
    """A panel that a plugin this tenant has on offers for a slot."""

    plugin: str
    slug: str
    title: str


@runtime_checkable
class Shell(Protocol):
    """What surrounds a dashboard page: who looks, where else they may go, what other plugins add.

    A handler of area "dashboard" that asks for ``shell`` is given one; it lives as long as the request.
    """

    @property
    def email(self) -> str:
        """Of the logged-in person."""
        ...

    @property
    def role(self) -> str: ...
    @property
    def csrf_token(self) -> str:
        """Goes into every form that posts, as field ``csrf_token``."""
        ...

    @property
    def base_url(self) -> str:
        """How the outside reaches this installation, without a slash at the end."""
        ...

    async def tenants(self) -> Sequence[TenantLink]:
        """By name."""
        ...

    async def nav(self) -> Sequence[NavLink]:
        """In menu order."""
        ...

    async def panels(self, slot: Literal["overview", "purchase", "person", "channel"]) -> Sequence[PanelLink]: ...
    async def panel(self, plugin: str, slug: str) -> str:
        """The panel's HTML, loaded now and escaped by its template.

        Raises NotFound for a panel the tenant does not have, PluginError when it fails or takes longer than 3 s.
        """
        ...

    async def page(self, title: str, content: str) -> str:
        """A whole page with ``content`` in the frame that all pages of a tenant share: menu, tenants, log out, style.

        ``content`` is HTML: escape what is in it. The page's own ``<h1>`` is part of it.
        """
        ...


class PluginError(CourseSignalError):
    """Base class of the errors a plugin may raise to say something specific."""


class HostRefused(PluginError):
    """``ctx.http`` was asked for a host that the manifest does not name."""


class AuthFailed(PluginError):
    """The stored credentials no longer work; the message, in the platform's own words, asks to reconnect."""


class CredentialsRejected(PluginError):
    """A field of the credentials is wrong; shown at that field."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.errors = (FieldError(path, message),)


class Unavailable(PluginError):
    """The other side is down or throttling; try again after ``retry_after``."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WebhookRejected(PluginError):
    """The signature is missing or wrong: answered 401, nothing stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """A webhook exactly as it arrived; header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    received_at: datetime


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account on the other side; ``id`` must be stable."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What ``connect`` found and set up."""

    account: Account
    webhooks: Literal["registered", "manual"] = "manual"
    memo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values to remember, such as ids of hooks to remove later; no secrets."""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Who bought, as the platform knows them."""

    email: str | None = None
    external_id: str | None = None
    name: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was bought; ``amount_minor`` None when the platform gives only a total."""

    external_id: str
    title: str
    quantity: int = 1
    amount_minor: int | None = None


ChargeKind = Literal["sale", "renewal", "instalment", "refund", "dispute", "dispute_reversal"]
"""Core signs the amount: refund and dispute count against, the others for."""


class Charge(msgspec.Struct, frozen=True, kw_only=True, tag="charge"):
    """Money that moved, under the platform's own money-object id; the same id twice is the same money.

    ``purchase_keys`` are all ids under which the platform knows the purchase this belongs to ("transaction:9001",
    "purchase:501"): charges and facts that share a key, in any order of arrival, end in one purchase.
    """

    external_id: str
    kind: ChargeKind
    amount_minor: int
    """≥ 0, in minor units of ``currency``."""
    currency: str
    """ISO 4217, upper case."""
    occurred_at: datetime
    purchase_keys: tuple[str, ...]
    contact: Contact = Contact()
    items: tuple[Item, ...] = ()
    refund_of: str | None = None
    """External id of the charge this reverses, where the platform says it."""
    hints: Mapping[str, str] = {}
    """Low-rank evidence of where the buyer came from: coupon, affiliate, referrer; ``source`` as the platform tells it,
    ``self_reported`` as the buyer answered "how did you hear of us?". ``visitor_id`` is the tracker's id where the platform took
    it along to checkout: a visitor we saw, who is nobody's yet, becomes the buyer."""


class RefundTotal(msgspec.Struct, frozen=True, kw_only=True, tag="refund_total"):
    """The platform says how much of a charge is refunded *in all*; core books the difference, never less than before.

    Refunds of that charge that are told one by one as well (a Charge with ``refund_of``) are part of the total, not more of it.
    """

    charge_external_id: str
    total_minor: int
    currency: str
    occurred_at: datetime
    purchase_keys: tuple[str, ...]
    kind: Literal["refund", "dispute"] = "refund"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a purchase is paid in parts; None is for what the platform does not tell."""

    payments: int | None = None
    """In all, the first included."""
    total_minor: int | None = None
    """What is to be paid in all."""
    next_due_at: datetime | None = None
    failed_at: datetime | None = None
    """When a payment failed that was not made up for yet."""


class PurchaseFacts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """What was bought by whom, without money: completes a purchase, never counts as revenue alone."""

    purchase_keys: tuple[str, ...]
    occurred_at: datetime
    contact: Contact = Contact()
    items: tuple[Item, ...] = ()
    hints: Mapping[str, str] = {}
    cancelled_at: datetime | None = None
    gift_recipient: str | None = None
    """E-mail of the one it was bought for; the credit stays with the buyer."""
    plan: Plan | None = None
    """Of a purchase that is paid in parts, where the platform says so."""


PlatformEvent = Charge | RefundTotal | PurchaseFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a sync; ``cursor`` is None on the last one, ``total`` the stream's size when the platform tells."""

    events: Sequence[PlatformEvent]
    cursor: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a platform can do, told to the tenant and used by core."""

    signed_push: bool
    refund_push: bool
    refunds: Literal["rows", "mutations"]
    currency_in_push: bool
    email_in_push: bool
    email_in_pull: bool


class Connector(abc.ABC, Generic[SettingsT]):
    """Bring purchases in from one course platform.

    Core owns the endpoint, the raw payload, retries, rate limits, cursors and
    idempotency. A connector only knows the platform.
    """

    slug: ClassVar[str]
    """Equal to the plugin's slug: /api/<slug>/connect, /api/webhooks/<slug>/<key>."""
    name: ClassVar[str]
    api_url: ClassVar[str]
    credentials: ClassVar[type[Settings]]
    """The form of POST /api/<slug>/connect."""
    capabilities: ClassVar[Capabilities]
    streams: ClassVar[tuple[str, ...]] = ()
    """What ``sync_page`` can fetch, in the order to fetch it."""
    help: ClassVar[str] = ""
    """Where to find the credentials, in words for a course creator."""
    webhook_help: ClassVar[str] = ""
    """How to set up webhooks by hand, when ``connect`` cannot."""
    requests_per_minute: ClassVar[int | None] = None
    """How fast core lets one connection ask through ``ctx.http``; a tenant may set its own. None: as fast as it goes."""
    monthly_requests: ClassVar[int | None] = None
    """How many requests one connection has in a month (UTC); a tenant may set its own. None: no end."""
    sync_every: ClassVar[timedelta] = timedelta(hours=1)
    """How often core asks for what is new."""
    rescan_days: ClassVar[int] = 60
    """How far back core looks once a day, for refunds of old sales, and to compare the platform's totals with ours."""

    @abc.abstractmethod
    async def connect(self, ctx: ConnectionContext[SettingsT]) -> Connected:
        """Check the credentials and say whose account this is; safe to call again.

        Raises CredentialsRejected (shown at the field), AuthFailed, Unavailable.
        """

    @abc.abstractmethod
    def verify_webhook(self, request: WebhookRequest, credentials: SettingsT) -> None:
        """Raise WebhookRejected unless the request is authentic. Pure. The URL key was checked before."""

    @abc.abstractmethod
    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        """Translate the payload; return nothing for topics we ignore. Pure.

        Raises msgspec.ValidationError or ValueError for a body it cannot read: kept in quarantine.
        """

    def delivery_id(self, request: WebhookRequest) -> str | None:
        """The platform's id of this delivery, when it has one that is equal on every retry; None falls back to a body hash."""
        return None

    async def sync_page(
        self, ctx: ConnectionContext[SettingsT], stream: str, cursor: str | None, since: datetime
    ) -> Page:
        """Fetch one page of ``stream``; core stores the cursor and calls again. Raises AuthFailed, Unavailable."""
        raise NotImplementedError

    async def check_webhooks(self, ctx: ConnectionContext[SettingsT]) -> str:
        """What webhooks that were set up by hand lack, in words for a course creator; "" for nothing that the platform tells.

        Raises AuthFailed, Unavailable.
        """
        return ""

    async def disconnect(self, ctx: ConnectionContext[SettingsT]) -> None:
        """Undo what connect set up on the other side; best effort."""
        return None

    def expires_at(self, credentials: SettingsT) -> datetime | None:
        """When these credentials end and :meth:`refresh` is needed; None for ones that last. Pure."""
        return None

    async def refresh(self, ctx: ConnectionContext[SettingsT]) -> SettingsT:
        """Trade ``ctx.credentials``, which end soon, for fresh ones.

        Core calls this before they end, never twice at once for one connection, and stores the answer before anything else.
        After a crash in between it is called again with the old ones. Raises AuthFailed, Unavailable.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRequest:
    """One round of an authorization-code flow, made by core; ``verifier`` is the PKCE secret."""

    state: str
    redirect_uri: str
    challenge: str
    verifier: str


class ConsentConnector(Connector[SettingsT]):
    """A connector whose credentials come from the platform's consent page instead of a form."""

    issuer: ClassVar[str] = ""
    """The ``iss`` with which the platform sends people back (RFC 9207), where it does; another one is refused."""

    @abc.abstractmethod
    def authorize_url(self, request: ConsentRequest, base_url: str) -> str:
        """The platform's consent page for this request. Pure."""

    @abc.abstractmethod
    async def exchange_code(self, ctx: BaseContext, request: ConsentRequest, code: str, base_url: str) -> SettingsT:
        """Trade the code for credentials. Raises AuthFailed, Unavailable."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One touch on the way to a purchase, oldest first in a path; ties are ordered by id."""

    channel: str
    occurred_at: datetime
    source: str = ""
    medium: str = ""
    campaign: str = ""
    is_direct: bool = False
    is_paid: bool = False
    is_opt_in: bool = False
    """The session in which the person first gave an e-mail address."""


class AttributionModel(abc.ABC):
    """Share a purchase's credit among the touches before it."""

    slug: ClassVar[str]
    name: ClassVar[str]
    description: ClassVar[str]

    @abc.abstractmethod
    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        """Return one weight per touch of a path of at least one; they are ≥ 0 and sum to 1. Pure and deterministic.

        Return nothing at all to credit nobody: the purchase then shows as unattributed under this model.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRecord:
    """Journeys through the same channels in the same order: how many ended in a purchase and how many did not.

    Their touches have a channel and an order; their times mean nothing.
    """

    path: tuple[Touch, ...]
    conversions: int
    losses: int


class FittedAttributionModel(AttributionModel):
    """A model that learns from a tenant's journeys before it can credit."""

    @abc.abstractmethod
    def fit(self, paths: Iterable[PathRecord]) -> Mapping[str, Any]:
        """Return what was learnt as JSON values; core stores it and hands it to :meth:`load`. Deterministic.

        Core asks every night, and credits a tenant's history again when the answer is another. Raises TooLittleData when there
        is not enough to learn from: the tenant reads the message, and the model goes on with what it knew.
        """

    @abc.abstractmethod
    def load(self, fitted: Mapping[str, Any]) -> AttributionModel:
        """Return a model that credits with what was learnt."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of advice with the numbers behind it; ``key`` is stable while the advice is the same."""

    key: str
    kind: Literal["opportunity", "warning", "insight"]
    priority: Annotated[int, Meta(ge=1, le=5)]
    title: str
    body: str
    evidence: Mapping[str, float | int | str]
    link: str = ""
    """Path of the report that shows the numbers."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule recommends now."""

    rule: str
    recommendation: Recommendation


class RecommendationRule(abc.ABC):
    """Look at a tenant's numbers and advise."""

    slug: ClassVar[str]
    minimum_purchases: ClassVar[int] = 30

    @abc.abstractmethod
    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """Return the recommendations that hold now."""


class Exporter(abc.ABC):
    """Write rows in one file format."""

    slug: ClassVar[str]
    media_type: ClassVar[str]
    suffix: ClassVar[str]

    @abc.abstractmethod
    def export(self, columns: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> AsyncIterator[bytes]:
        """Yield the file in chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a channel rule looks at; all lower case but ``campaign``."""

    source: str
    medium: str
    campaign: str
    referrer_host: str
    click_id: str
    """Name of the click-id parameter, such as ``gclid``; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRule:
    """Put a touch into a channel; rules of plugins are asked before core's, lower ``weight`` first. ``applies`` is pure."""

    slug: str
    channel: str
    applies: Callable[[Hit], bool]
    weight: int = 100


JobFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work for the queue, called ``function(ctx, **kwargs)`` at least once; its name is prefixed with the plugin's slug."""

    name: str
    function: JobFunction
    retries: int = 5
    timeout: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A job on a schedule (five-field cron, UTC), run once per due time and tenant that enabled the plugin."""

    name: str
    schedule: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of ``coursesignal <slug> <name> --tenant SLUG``, called ``function(ctx, **options)``.

    The function's keyword-only parameters of type str, int, float or bool become options, its docstring the help.
    """

    name: str
    function: Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Litestar handlers to mount; core adds the prefix, the tenant, the guards and the OpenAPI tag.

    ``api`` mounts at /api/<slug>, ``dashboard`` at /app/{tenant}/<slug> (browser session), ``public`` at /api/public/<slug>
    (no login; the tenant comes from ``?site=<site key>``), ``shared`` at /api/public/<slug>/{share_token} and ``shared_page`` at
    /share/<slug>/{share_token} (no login; the tenant is that of the link, and ``share`` is the link). ``open`` at /api/public has
    no tenant and no ``ctx`` but ``notices``. Elsewhere a handler that asks for ``ctx`` is given the plugin's Context.
    """

    handlers: Sequence[ControllerRouterHandler]
    area: Literal["dashboard", "api", "public", "shared", "shared_page", "open"] = "api"
    role: Literal["viewer", "member", "admin", "owner"] = "viewer"
    """The least role for GET; other methods need ``write_role``."""
    write_role: Literal["viewer", "member", "admin", "owner"] = "member"


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """An entry of the dashboard menu; ``path`` is below /app/{tenant}/<slug>."""

    label: str
    path: str = ""
    icon: str = "puzzle"
    weight: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A piece of a dashboard page, loaded on its own so it can fail on its own; ``template`` is ``<slug>/….html``."""

    slug: str
    title: str
    slot: Literal["overview", "purchase", "person", "channel"]
    template: str
    load: Callable[[Context[Any]], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailTemplate:
    """An email; ``template`` names ``<slug>/<template>.txt`` and optionally ``.html``; ``example`` drives preview and test."""

    slug: str
    subject: str
    template: str
    example: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A scope an API key may be given, written ``<plugin>:<slug>``."""

    slug: str
    label: str
