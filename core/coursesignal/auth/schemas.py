"""What the account calls take and answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self
from uuid import UUID

import msgspec
from msgspec import Meta

from coursesignal.auth.callers import Membership
from coursesignal.auth.users import AgencyMembership

Email = Annotated[str, Meta(max_length=320, description="An e-mail address.")]
Password = Annotated[str, Meta(max_length=4096)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of what is sent: unknown fields are refused."""


class LoginIn(Body, frozen=True, kw_only=True):
    email: Email
    password: Password


class RefreshIn(Body, frozen=True, kw_only=True):
    refresh_token: Token


class LogoutIn(Body, frozen=True, kw_only=True):
    refresh_token: Token | None = None


class ResetRequest(Body, frozen=True, kw_only=True):
    email: Email


class ResetIn(Body, frozen=True, kw_only=True):
    token: Token
    password: Password


class PasswordChange(Body, frozen=True, kw_only=True):
    current_password: Password
    new_password: Password


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what is answered."""


class Message(Answer, frozen=True, kw_only=True):
    message: str


class UserOut(Answer, frozen=True, kw_only=True):
    id: UUID
    email: str


class TenantLine(Answer, frozen=True, kw_only=True):
    """A tenant the user may enter, and as what."""

    id: UUID
    slug: str
    name: str
    role: str

    @classmethod
    def of(cls, membership: Membership) -> Self:
        tenant = membership.tenant
        return cls(id=tenant.id, slug=tenant.slug, name=tenant.name, role=membership.role)


class Refreshed(Answer, frozen=True, kw_only=True):
    """``expiresIn`` is in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str


class LoggedIn(Refreshed, frozen=True, kw_only=True):
    user: UserOut
    tenants: list[TenantLine]


class Me(Answer, frozen=True, kw_only=True):
    user: UserOut
    tenants: list[TenantLine]
    agencies: list[AgencyMembership]


def tenant_lines(memberships: Iterable[Membership]) -> list[TenantLine]:
    return [TenantLine.of(membership) for membership in memberships]
