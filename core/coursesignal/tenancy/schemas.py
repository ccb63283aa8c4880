"""What the tenancy calls take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from coursesignal.auth.schemas import Answer, Body, Email, Password, TenantLine, Token
from coursesignal.web.access import Role

Text = Annotated[str, Meta(max_length=200)]
Days = Annotated[int, Meta(ge=1, le=36_500, description="1 to 3650, or 36500 for a lifetime.")]
HalfLife = Annotated[float, Meta(ge=0.04, le=365, description="Of the time-decay model, in days.")]
Share = Annotated[float, Meta(ge=0, le=1, description="Of the position-based model; with a w of the W-shaped one.")]
CheckoutPages = Annotated[
    list[Text],
    Meta(max_length=20, description="Patterns with * for host and path; none: those that come with CourseSignal."),
]
RoleName = Annotated[Role, Meta(description="owner, admin, member or viewer")]


class SignupIn(Body, frozen=True, kw_only=True):
    email: Email
    password: Password
    tenant_name: Text


class VerifyIn(Body, frozen=True, kw_only=True):
    token: Token


class AcceptIn(Body, frozen=True, kw_only=True):
    """``password`` is needed by who has no account yet."""

    token: Token
    password: Password | None = None


class Joined(Answer, frozen=True, kw_only=True):
    """What was joined, and the address to log in with."""

    kind: Literal["tenant", "agency"]
    slug: str
    name: str
    role: str
    email: str


class TenantIn(Body, frozen=True, kw_only=True):
    """Without a slug, one is made from the name."""

    name: Text
    slug: Text | None = None
    time_zone: Text = "UTC"
    currency: Text = "USD"


class TenantChange(Body, frozen=True, kw_only=True):
    """Only what is given changes."""

    name: Text | None = None
    slug: Text | None = None
    time_zone: Text | None = None
    currency: Text | None = None
    lookback_days: Days | None = None
    default_model: Text | None = None
    half_life_days: HalfLife | None = None
    first_share: Share | None = None
    last_share: Share | None = None
    w_first_share: Share | None = None
    w_opt_in_share: Share | None = None
    w_last_share: Share | None = None
    count_automation: bool | None = None
    fallback_match: bool | None = None
    checkout_pages: CheckoutPages | None = None
    email_aliases: bool | None = None


class TenantOut(TenantLine, frozen=True, kw_only=True):
    """A tenant with its settings; ``role`` is the caller's, "" for an API key."""

    time_zone: str
    currency: str
    lookback_days: int
    default_model: str
    half_life_days: float
    first_share: float
    last_share: float
    w_first_share: float
    w_opt_in_share: float
    w_last_share: float
    count_automation: bool
    fallback_match: bool
    checkout_pages: list[str]
    email_aliases: bool
    agency: str | None
    created_at: datetime


class MemberIn(Body, frozen=True, kw_only=True):
    email: Email
    role: RoleName = "member"


class MemberChange(Body, frozen=True, kw_only=True):
    role: RoleName


class MemberOut(Answer, frozen=True, kw_only=True):
    """Somebody who belongs to the team, or was invited and has not answered yet (``id`` is then the invitation's)."""

    id: UUID
    email: str
    role: str
    status: Literal["active", "invited"]
    via: Literal["direct", "agency"] = "direct"
    since: datetime


class ApiKeyIn(Body, frozen=True, kw_only=True):
    name: Text
    scopes: Annotated[list[Text], Meta(min_length=1, max_length=50)]


class ApiKeyOut(Answer, frozen=True, kw_only=True):
    """A key; ``prefix`` helps to recognise it, the key itself is never shown again."""

    id: UUID
    name: str
    scopes: list[str]
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = None


class NewApiKey(Answer, frozen=True, kw_only=True):
    """``key`` is shown this once."""

    id: UUID
    name: str
    scopes: list[str]
    key: str


class AgencyIn(Body, frozen=True, kw_only=True):
    name: Text
    slug: Text | None = None


class AgencyOut(Answer, frozen=True, kw_only=True):
    id: UUID
    slug: str
    name: str
    role: str


class Grant(Body, frozen=True, kw_only=True):
    """Whether a tenant may use a plugin."""

    plugin: Text
    granted: bool


class GrantChange(Body, frozen=True, kw_only=True):
    granted: bool


class GrantOut(Answer, frozen=True, kw_only=True):
    plugin: str
    name: str
    granted: bool
