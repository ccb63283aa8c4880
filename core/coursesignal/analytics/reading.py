"""One report's view of the database: one tenant, one consistent state, at most five seconds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from coursesignal.analytics.conversion import Conversion, conversion_into
from coursesignal.analytics.filters import Filter, parse
from coursesignal.analytics.orders import Orders
from coursesignal.analytics.period import Period, Wanted
from coursesignal.analytics.segments import filter_of
from coursesignal.analytics.shadows import Changes, view_of
from coursesignal.analytics.views import AS_THEY_ARE, View
from coursesignal.analytics.windowing import ROOM, CreditsOf, WindowCredits
from coursesignal.analytics.wishes import NOTHING, Wishes
from coursesignal.db.engine import ENGINE, Database
from coursesignal.errors import Busy, FieldError, Invalid
from coursesignal.plugin import AttributionModel, Tenant

TIMEOUT_S = 5
_SNAPSHOT = f"""
    set transaction isolation level repeatable read;
    {{room}};
    set transaction read only;
    set local statement_timeout = '{TIMEOUT_S}s';
    set local plan_cache_mode = force_custom_plan;
    set local seq_page_cost = 0.1;
    set local random_page_cost = 0.11;
    set local enable_memoize = off;
    set local work_mem = '32MB'"""
# Custom plans: how much a report reads depends on the period alone. Cheap pages: what reports read is in memory; reading it in
# the order of an index is several times faster than hashing it, which the planner only sees when it takes neither for a disk's.
# No memory of join partners: nearly every credit has a touch of its own.
_FIRST_AND_LAST = """
    select least((select min(occurred_at) from charges where tenant_id = $1),
                 (select min(started_at) from sessions where tenant_id = $1),
                 (select start_at from rollup_days where tenant_id = $1 and what = 'visits' and closed
                  order by day limit 1)) as first,
           (select max(occurred_at) from charges where tenant_id = $1) as last"""
FALLBACK_MODEL = "last_non_direct"
"""Stands in for a default model that this installation no longer has."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What every report works on. ``model`` is a slug; whose credits stand for it is a matter of the view."""

    conn: asyncpg.Connection
    tenant: Tenant
    period: Period
    model: str
    default_model: str
    lookback_days: int
    models: Mapping[str, AttributionModel]
    wishes: Wishes = NOTHING
    view: View = AS_THEY_ARE
    conversion: Conversion | None = None
    window: WindowCredits | None = None
    """The credits of another window than the tenant's, where one was asked for."""

    @property
    def currency(self) -> str:
        """The one this reading adds up in."""
        return self.wishes.currency or self.tenant.currency

    @property
    def model_name(self) -> str:
        """As people read it."""
        return self.models[self.model].name if self.model in self.models else self.model

    async def fetch(self, sql: str, *values: object, credits_of: CreditsOf = None) -> list[Any]:
        """The rows of a report's query, as this reading sees the tables.

        ``credits_of`` says that of credits the query reads no others: so that those of another window are not worked out in vain.
        """
        sql, values = await self._seen(sql, values, credits_of)
        rows: list[Any] = await self.conn.fetch(sql, *values)
        return rows

    async def fetchrow(self, sql: str, *values: object, credits_of: CreditsOf = None) -> Any:
        """The first row, None without any."""
        sql, values = await self._seen(sql, values, credits_of)
        return await self.conn.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: object, credits_of: CreditsOf = None) -> Any:
        """The first row's first column."""
        sql, values = await self._seen(sql, values, credits_of)
        return await self.conn.fetchval(sql, *values)

    async def _seen(self, sql: str, values: Sequence[object], of: CreditsOf) -> tuple[str, tuple[object, ...]]:
        if self.window is not None:
            await self.window.work_out(sql, of)
        return self.view.over(sql, values)


@contextlib.asynccontextmanager
async def reading(
    db: Database,
    tenant: Tenant,
    models: Mapping[str, AttributionModel],
    wanted: Wanted = "all",
    model: str = "",
    wishes: Wishes = NOTHING,
    *,
    every_model: bool = False,
    orders: Orders | None = None,
) -> AsyncIterator[Reading]:
    """Open a read-only snapshot of ``tenant`` for ``wanted`` under ``model`` (empty: the tenant's default).

    ``every_model`` when more credits are read than that model's; ``orders`` narrows it to some purchases.
    Inside an open transaction of the tenant it reads that one.
    Raises Invalid for what cannot be asked, Busy when a statement takes longer than TIMEOUT_S.
    """
    wishes.check()
    try:
        async with snapshot(db, tenant, other_window=bool(wishes.window)) as conn:
            row = await conn.fetchrow("select default_model, lookback_days from tenants where id = $1", tenant.id)
            default = _known(row["default_model"], models)
            slug = chosen(model, default, models)
            days = wishes.lookback_days or row["lookback_days"]
            conversion = await _conversion(conn, tenant, wishes)
            changes = Changes(
                by_order=wishes.date_by == "order", filters=await _filters(conn, tenant, wishes), conversion=conversion,
                orders=orders,
            )  # fmt: skip
            view, window = await view_of(conn, tenant.id, changes), None
            if days != row["lookback_days"]:
                read = {name: found for name, found in models.items() if every_model or name == slug}
                window = WindowCredits(conn, tenant.id, days, read, view)
                view = await view_of(conn, tenant.id, replace(changes, credits=window.definition))
            period = await _whole(conn, tenant, view) if wanted == "all" else wanted
            yield Reading(conn, tenant, period, slug, default, days, models, wishes, view, conversion, window)
    except asyncpg.QueryCanceledError as error:
        raise too_slow() from error
    except asyncpg.NumericValueOutOfRangeError as error:
        wrong = FieldError("convert", "A converted amount is too large; look at your rates.")
        raise Invalid("This cannot be added up.", errors=[wrong]) from error


async def _conversion(conn: asyncpg.Connection, tenant: Tenant, wishes: Wishes) -> Conversion | None:
    """Into the report's currency, when it is asked for."""
    if not wishes.convert:
        return None
    return await conversion_into(conn, tenant.id, wishes.currency or tenant.currency, ZoneInfo(tenant.time_zone))


async def _filters(conn: asyncpg.Connection, tenant: Tenant, wishes: Wishes) -> list[Filter]:
    """What the segment and the filter of the query say."""
    found = []
    if wishes.segment:
        saved = await filter_of(conn, tenant.id, wishes.segment.removeprefix("!"))
        turned = wishes.segment.startswith("!")
        found.append(msgspec.structs.replace(saved, complement=saved.complement != turned))
    if wishes.filter:
        found.append(parse(wishes.filter))
    return found


@contextlib.asynccontextmanager
async def snapshot(db: Database, tenant: Tenant, *, other_window: bool = False) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that sees one state of the tenant's rows throughout, and changes none.

    ``other_window`` makes room for the credits of a window that is not the tenant's.
    """
    joins = ENGINE.current_transaction.get() is not None
    room = ROOM if other_window else ""
    async with db.tenant(tenant.id) as conn:
        if room or not joins:
            await conn.execute(room if joins else _SNAPSHOT.format(room=room))
        yield conn


def too_slow() -> Busy:
    """What a report that was cut off answers."""
    return Busy(
        "This report took too long.",
        kind="report-timeout",
        detail="Choose a shorter period with range, or from and to.",
        retry_after_s=TIMEOUT_S,
    )


def chosen(model: str, default: str, models: Mapping[str, AttributionModel]) -> str:
    """``model``, or ``default`` when it is empty; raise Invalid listing the known ones."""
    if not model:
        return default
    if model not in models:
        raise Invalid(
            "This attribution model does not exist.",
            errors=[FieldError("model", f"Must be one of {', '.join(sorted(models))}.")],
        )
    return model


def _known(default: str, models: Mapping[str, AttributionModel]) -> str:
    if default in models:
        return default
    return FALLBACK_MODEL if FALLBACK_MODEL in models else next(iter(models), default)


async def _whole(conn: asyncpg.Connection, tenant: Tenant, view: View) -> Period:
    """Every day from the first to the last charge or session, as the reading sees them, and at least today.

    Days whose sessions retention took are days too: how many there were is kept.
    """
    zone = ZoneInfo(tenant.time_zone)
    sql, values = view.over(_FIRST_AND_LAST, (tenant.id,))
    row: Any = await conn.fetchrow(sql, *values)
    now = datetime.now(UTC)
    first, last = min(row["first"] or now, now), max(row["last"] or now, now)
    return Period.of_days(first.astimezone(zone).date(), last.astimezone(zone).date(), zone, comparable=False)
