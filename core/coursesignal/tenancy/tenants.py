"""Tenants: opened with their first website, read, and changed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller, Membership
from coursesignal.db import stale
from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.events import TenantCreated
from coursesignal.jobs.outbox import enqueue, publish
from coursesignal.tenancy import audit
from coursesignal.tenancy.names import (
    another,
    currency_problem,
    name_problem,
    slug_from,
    slug_problem,
    time_zone_problem,
)
from coursesignal.tenancy.schemas import TenantChange, TenantIn, TenantOut

SITE_KEY_BYTES = 18
INSERT = """
    insert into tenants (id, slug, name, agency_id, time_zone, currency) values ($1, $2, $3, $4, $5, $6)
    on conflict (slug) do nothing returning slug
"""
POSITION_BASED, W_SHAPED = ("position_based",), ("w_shaped",)
CREDITED_BY: Mapping[str, Sequence[str] | None] = {
    "lookback_days": None, "half_life_days": ("time_decay",),
    "first_share": POSITION_BASED, "last_share": POSITION_BASED,
    "fallback_match": None, "checkout_pages": None,
    "w_first_share": W_SHAPED, "w_opt_in_share": W_SHAPED, "w_last_share": W_SHAPED,
}  # fmt: skip
"""What models credit by, with the models that do; None: all of them."""
MATCHED_BY = frozenset({"fallback_match", "checkout_pages"})
"""What decides whose a purchase is, before any model credits it."""
MAX_LOOKBACK_DAYS, LIFETIME_DAYS = 3650, 36_500
EMAIL_ALIASES = "core.email_aliases"
"""The job that brings people in line after that setting changed."""
MIN_PAGE = 3
"""Characters of a checkout page's address: less would take every page for one."""
SHARES = (("first_share", "last_share"), ("w_first_share", "w_opt_in_share", "w_last_share"))
"""Of one model each: together at most 1."""
SELECT = """
    select t.id, t.slug, t.name, t.time_zone, t.currency, t.lookback_days, t.default_model, t.half_life_days,
        t.first_share, t.last_share, t.w_first_share, t.w_opt_in_share, t.w_last_share,
        t.count_automation, t.fallback_match, t.checkout_pages, t.email_aliases, t.created_at, a.slug as agency
    from tenants t left join agencies a on a.id = t.agency_id
"""
"""What a TenantOut holds, but for the reader's role."""


async def create(
    db: Database, caller: Caller, wanted: TenantIn, *, owner_id: UUID | None = None, agency_id: UUID | None = None
) -> UUID:
    """A new tenant, of ``owner_id`` or of an agency; raises Invalid and Conflict. Returns its id."""
    check(wanted)
    tenant_id = uuid7()
    async with db.tenant(tenant_id) as conn:
        await open_tenant(conn, tenant_id, caller, wanted, owner_id=owner_id, agency_id=agency_id)
    return tenant_id


async def open_tenant(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    caller: Caller,
    wanted: TenantIn,
    *,
    owner_id: UUID | None = None,
    agency_id: UUID | None = None,
) -> None:
    """Open the tenant in a transaction that is bound to ``tenant_id``: its row, its owner, its first website, its first event."""
    slug = await _insert(conn, tenant_id, wanted, agency_id)
    if owner_id is not None:
        await conn.execute(
            "insert into memberships (id, user_id, tenant_id, role) values ($1, $2, $3, 'owner')",
            uuid7(),
            owner_id,
            tenant_id,
        )
    await conn.execute(
        "insert into sites (tenant_id, id, public_key, name) values ($1, $2, $3, 'My website')",
        tenant_id, uuid7(), secrets.token_urlsafe(SITE_KEY_BYTES),
    )  # fmt: skip
    await audit.record(conn, tenant_id, caller, "tenant.created", slug, {"name": wanted.name})
    await publish(conn, TenantCreated(id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC)))


async def _insert(conn: asyncpg.Connection, tenant_id: UUID, wanted: TenantIn, agency_id: UUID | None) -> str:
    """The slug it got: the wanted one or none, else one made from the name."""
    slug = wanted.slug or slug_from(wanted.name)
    facts = (wanted.name.strip(), agency_id, wanted.time_zone, wanted.currency)
    while await conn.fetchval(INSERT, tenant_id, slug, *facts) is None:
        if wanted.slug:
            raise _taken()
        slug = another(slug_from(wanted.name))
    return slug


def check(wanted: TenantIn) -> None:
    """Raises Invalid naming every field that is wrong."""
    errors = [
        *name_problem(wanted.name),
        *(slug_problem(wanted.slug) if wanted.slug is not None else []),
        *time_zone_problem(wanted.time_zone),
        *currency_problem(wanted.currency),
    ]
    if errors:
        raise Invalid(errors=errors)


async def read(conn: asyncpg.Connection, tenant_id: UUID, role: str) -> TenantOut:
    """The tenant with its settings; ``role`` is the reader's."""
    row = await conn.fetchrow(f"{SELECT} where t.id = $1", tenant_id)
    if row is None:
        raise NotFound
    return TenantOut(**dict(row), role=role)


async def of_memberships(conn: asyncpg.Connection, found: Sequence[Membership]) -> list[TenantOut]:
    """The tenants somebody may enter, in the order given, each with their role there."""
    rows = await conn.fetch(f"{SELECT} where t.id = any($1)", [membership.tenant.id for membership in found])
    facts = {row["id"]: dict(row) for row in rows}
    return [TenantOut(**facts[membership.tenant.id], role=membership.role) for membership in found]


async def of_agency(conn: asyncpg.Connection, agency_id: UUID, role: str) -> list[TenantOut]:
    """The agency's tenants, by name; ``role`` is the reader's on all of them."""
    rows = await conn.fetch(f"{SELECT} where t.agency_id = $1 and t.status = 'active' order by t.name, t.id", agency_id)
    return [TenantOut(**dict(row), role=role) for row in rows]


async def change(
    conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, wanted: TenantChange, models: Collection[str]
) -> None:
    """Apply what is given; what models credit by has every credit computed again. Raises Invalid and Conflict."""
    changes = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not None}
    _check_change(wanted, models)
    if not changes:
        return
    before = await conn.fetchrow("select * from tenants where id = $1 for update", tenant_id)
    assert before is not None
    _check_shares(changes, before)
    await _update(conn, tenant_id, changes)
    if credited_by := [name for name in CREDITED_BY if name in changes and changes[name] != before[name]]:
        await enqueue(conn, tenant_id, "core.recredit", models_concerned(credited_by))
    if changes.get("email_aliases", before["email_aliases"]) != before["email_aliases"]:
        await enqueue(conn, tenant_id, EMAIL_ALIASES, {})
    if (
        "time_zone" in changes and changes["time_zone"] != before["time_zone"]
    ):  # other days than those that were counted
        await stale.mark_all(conn, tenant_id, "visits")
        await stale.mark_all(conn, tenant_id, "money")
    detail = {name: {"from": before[name], "to": value} for name, value in changes.items() if before[name] != value}
    await audit.record(conn, tenant_id, caller, "tenant.changed", before["slug"], detail)


async def _update(conn: asyncpg.Connection, tenant_id: UUID, changes: dict[str, Any]) -> None:
    assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(changes, 2))  # names are fields of TenantChange
    try:
        async with conn.transaction():
            await conn.execute(f"update tenants set {assignments} where id = $1", tenant_id, *changes.values())  # noqa: S608
    except asyncpg.UniqueViolationError:
        raise _taken() from None


def _check_change(wanted: TenantChange, models: Collection[str]) -> None:
    errors = [
        *(name_problem(wanted.name) if wanted.name is not None else []),
        *(slug_problem(wanted.slug) if wanted.slug is not None else []),
        *(time_zone_problem(wanted.time_zone) if wanted.time_zone is not None else []),
        *(currency_problem(wanted.currency) if wanted.currency is not None else []),
    ]
    if wanted.default_model is not None and wanted.default_model not in models:
        errors.append(FieldError("defaultModel", f"Choose one of: {', '.join(sorted(models))}."))
    if wanted.lookback_days is not None and MAX_LOOKBACK_DAYS < wanted.lookback_days < LIFETIME_DAYS:
        text = f"Give 1 to {MAX_LOOKBACK_DAYS} days, or {LIFETIME_DAYS} for a lifetime."
        errors.append(FieldError("lookbackDays", text))
    if any(len(page.replace("*", "")) < MIN_PAGE or "\0" in page for page in wanted.checkout_pages or ()):
        text = f"Write at least {MIN_PAGE} characters of each page's address, such as */thank-you*."
        errors.append(FieldError("checkoutPages", text))
    if errors:
        raise Invalid(errors=errors)


def models_concerned(settings: Collection[str]) -> Mapping[str, Any]:
    """What a recompute is told after these settings changed: the models that it is about, nothing when it is about all."""
    found = [CREDITED_BY[name] for name in settings]
    if MATCHED_BY.intersection(settings):
        return {"match": True}
    return {} if None in found else {"models": sorted({slug for models in found for slug in models or ()})}


def _check_shares(changes: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for shares in SHARES:
        if sum(changes.get(name, before[name]) for name in shares) > 1 + 1e-9:
            names = [_spelled(name) for name in shares]
            text = f"{', '.join(names[:-1])} and {names[-1]} together must not be above 1."
            raise Invalid(errors=[FieldError(names[0], text)])


def _spelled(name: str) -> str:
    """As the API spells a field."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _taken() -> Conflict:
    return Conflict("This slug is taken. Choose another.", errors=[FieldError("slug", "It is taken.")])
