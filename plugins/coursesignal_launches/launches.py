"""The rules of launches: their window, their status, and what counts for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.plugin import Context, FieldError, Invalid, NoSettings, NotFound, uuid7
from coursesignal_launches.schemas import Launch, LaunchDetail, LaunchPage, NewLaunch, Results, SourceShare, Status

Ctx = Context[NoSettings]
LONGEST = timedelta(days=366)
MAX_LIMIT = 200
TOP_SOURCES = 10
ORDERS = {
    "-startsAt": "starts_at desc, id desc",
    "startsAt": "starts_at, id",
    "title": "lower(title), id",
    "-createdAt": "created_at desc, id desc",
}
"""What the list can be sorted by."""

COLUMNS = "id, title, starts_at, ends_at, created_at"

INSERT = f"""
    insert into launches_launches (tenant_id, id, title, starts_at, ends_at, status)
    values ($1, $2, $3, $4, $5, $6) returning {COLUMNS}"""  # noqa: S608 – of constants

# The status in the table follows the clock by up to five minutes; what is filtered and answered is always that of now.
STATUS_NOW = "case when now() < starts_at then 'upcoming' when now() < ends_at then 'active' else 'completed' end"


def status_at(starts_at: datetime, ends_at: datetime, now: datetime) -> Status:
    """Upcoming before the start, active until the end, completed from the end on."""
    if now < starts_at:
        return "upcoming"
    return "active" if now < ends_at else "completed"


async def create(ctx: Ctx, new: NewLaunch) -> Launch:
    """Store a launch; raises Invalid for a window that is none."""
    check_window(new.starts_at, new.ends_at)
    now = datetime.now(UTC)
    async with ctx.db.transaction() as conn:
        row = await conn.fetchrow(
            INSERT,
            ctx.tenant.id, uuid7(), new.title.strip(), new.starts_at, new.ends_at,
            status_at(new.starts_at, new.ends_at, now),
        )  # fmt: skip
    return _launch(row)


def check_window(starts_at: datetime, ends_at: datetime) -> None:
    """Raise Invalid unless a launch can run from one to the other."""
    if ends_at <= starts_at:
        raise _wrong("endsAt", "Must be later than startsAt.")
    if ends_at - starts_at > LONGEST:
        raise _wrong("endsAt", "A launch lasts at most 366 days.")
    if not 2000 <= starts_at.year <= 2100:
        raise _wrong("startsAt", "Must be between the years 2000 and 2100.")


async def listed(ctx: Ctx, *, status: str, sort: str, page: int, limit: int) -> LaunchPage:
    """One page of the tenant's launches; raises Invalid for what it cannot filter or sort by."""
    if sort not in ORDERS:
        raise _wrong("sort", f"Must be one of {', '.join(ORDERS)}.")
    if status not in {"", "upcoming", "active", "completed"}:
        raise _wrong("status", "Must be upcoming, active or completed.")
    if not 1 <= limit <= MAX_LIMIT or not 1 <= page <= 10_000:
        raise _wrong("limit" if 1 <= page <= 10_000 else "page", f"limit is 1 to {MAX_LIMIT}, page 1 to 10000.")
    where = f"tenant_id = $1 and ($2 = '' or {STATUS_NOW} = $2)"
    async with ctx.db.transaction() as conn:
        total = await conn.fetchval(f"select count(*) from launches_launches where {where}", ctx.tenant.id, status)  # noqa: S608 – of constants
        rows = await conn.fetch(
            f"select {COLUMNS} from launches_launches where {where} order by {ORDERS[sort]} limit $3 offset $4",  # noqa: S608 – of constants
            ctx.tenant.id, status, limit, (page - 1) * limit,
        )  # fmt: skip
    return LaunchPage(items=tuple(_launch(row) for row in rows), page=page, limit=limit, total=total)


async def get(ctx: Ctx, launch_id: UUID) -> LaunchDetail:
    """A launch with its results; raises NotFound."""
    async with ctx.db.transaction() as conn:
        row = await conn.fetchrow(
            f"select {COLUMNS} from launches_launches where tenant_id = $1 and id = $2",  # noqa: S608 – of constants
            ctx.tenant.id, launch_id,
        )  # fmt: skip
    if row is None:
        raise NotFound()
    launch = _launch(row)
    return LaunchDetail(**msgspec.structs.asdict(launch), results=await results(ctx, launch))


async def delete(ctx: Ctx, launch_id: UUID) -> None:
    """Remove a launch; raises NotFound. Purchases stay as they are."""
    async with ctx.db.transaction() as conn:
        found = await conn.fetchval(
            "delete from launches_launches where tenant_id = $1 and id = $2 returning id", ctx.tenant.id, launch_id
        )
    if found is None:
        raise NotFound()


async def results(ctx: Ctx, launch: Launch) -> Results | None:
    """What moved between the launch's start and end, by the second."""
    if launch.status == "upcoming":
        return None
    window = (launch.starts_at, launch.ends_at)
    summary = await ctx.reports.summary(window)
    sources = await ctx.reports.sources(window)
    sellers = [row for row in sources.rows if row.purchases or row.revenue_minor]
    return Results(
        currency=summary.currency,
        model=summary.model,
        revenue_minor=summary.revenue_minor,
        refunded_minor=summary.refunded_minor,
        net_revenue_minor=summary.net_revenue_minor,
        purchases=summary.purchases,
        students=summary.students,
        average_order_minor=summary.average_order_minor,
        visitors=summary.visitors,
        conversion_rate=summary.conversion_rate,
        unattributed_minor=summary.unattributed_minor,
        sources=tuple(
            SourceShare(
                source=row.source, channel=row.channel, revenue_minor=row.revenue_minor, purchases=row.purchases
            )
            for row in sellers[:TOP_SOURCES]
        ),
    )


async def update_status(ctx: Ctx) -> None:
    """Move every launch on whose time has come; the same however often it runs."""
    async with ctx.db.transaction() as conn:
        await conn.execute(
            f"update launches_launches set status = {STATUS_NOW} where tenant_id = $1 and status <> {STATUS_NOW}",  # noqa: S608 – of constants
            ctx.tenant.id,
        )


def _launch(row: Any) -> Launch:
    return Launch(**row, status=status_at(row["starts_at"], row["ends_at"], datetime.now(UTC)))


def _wrong(path: str, message: str) -> Invalid:
    return Invalid("This launch request is not valid.", errors=[FieldError(path, message)])
