"""Launches as objects: made, listed, changed, archived, duplicated, deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from coursesignal.plugin import FieldError, Invalid, NotFound, uuid7
from coursesignal_launches import dates
from coursesignal_launches.phases import in_zone, moved, phase_at, status_at
from coursesignal_launches.schemas import Copy, Launch, LaunchChange, LaunchPage, NewLaunch
from coursesignal_launches.settings import Ctx

MAX_LIMIT = 200
ORDERS = {
    "-startsAt": "starts_at desc, id desc",
    "startsAt": "starts_at, id",
    "title": "lower(title), id",
    "-createdAt": "created_at desc, id desc",
}
"""What the list can be sorted by."""
STATUSES = ("upcoming", "active", "completed", "archived")

CHOSEN = ", ".join(dates.FIELDS)
COLUMNS = f"id, {CHOSEN}, archived_at, created_at"
INSERT = f"""
    insert into launches_launches (tenant_id, id, status, {CHOSEN})
    values ($1, $2, $3, {", ".join(f"${4 + n}" for n in range(len(dates.FIELDS)))}) returning {COLUMNS}"""  # noqa: S608
UPDATE = f"""
    update launches_launches set changed_at = now(), status = $3,
        {", ".join(f"{name} = ${4 + n}" for n, name in enumerate(dates.FIELDS))}
    where tenant_id = $1 and id = $2 returning {COLUMNS}"""  # noqa: S608 – of constants

# The status in the table follows the clock by up to five minutes; what is filtered and answered is always that of now.
STATUS_NOW = "case when now() < starts_at then 'upcoming' when now() < ends_at then 'active' else 'completed' end"
SHOWN_AS = f"case when archived_at is not null then 'archived' else {STATUS_NOW} end"


async def create(ctx: Ctx, sent: NewLaunch) -> Launch:
    """Store a launch; raises Invalid for one that cannot be."""
    return await _insert(ctx, dates.new(sent, zone_of(ctx)))


async def change(ctx: Ctx, launch_id: UUID, sent: LaunchChange) -> Launch:
    """Change what is given; purchases follow the new dates by themselves. Raises NotFound, Invalid."""
    async with ctx.db.transaction() as conn:
        values = dates.changed(await _row(ctx, conn, launch_id, lock=True), sent, zone_of(ctx))
        status = status_at(values["starts_at"], values["ends_at"], datetime.now(UTC))
        row = await conn.fetchrow(UPDATE, ctx.tenant.id, launch_id, status, *dates.columns(values))
    return _launch(row)


async def duplicate(ctx: Ctx, launch_id: UUID, copy: Copy) -> Launch:
    """A launch of the same length, phases, goals and products, by default a whole number of weeks later, after now."""
    zone = zone_of(ctx)
    async with ctx.db.transaction() as conn:
        before = await _row(ctx, conn, launch_id)
    starts_at = copy.starts_at
    if starts_at is None:
        earliest = max(datetime.now(UTC), before["ends_at"])
        weeks = -((before["starts_at"] - earliest) // timedelta(weeks=1))
        starts_at = moved(before["starts_at"], timedelta(weeks=weeks), zone)
    values = {name: before[name] for name in dates.FIELDS}
    sent = NewLaunch(
        **{
            **values,
            "title": copy.title or f"{before['title'][:190]} (copy)",
            "products": tuple(before["products"]),
            **_shifted(before, starts_at, zone),
        }
    )
    return await _insert(ctx, dates.new(sent, zone))


def _shifted(before: Any, starts_at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """The launch's times, as far from the start on the wall clock as they were."""
    local = {name: before[name] and before[name].astimezone(zone).replace(tzinfo=None) for name in dates.TIMES}
    start = in_zone(starts_at, zone).astimezone(zone).replace(tzinfo=None)
    by = start - local["starts_at"]
    times = {name: at and (at + by).replace(tzinfo=zone).astimezone(UTC) for name, at in local.items()}
    return times


async def listed(ctx: Ctx, *, status: str, sort: str, page: int, limit: int) -> LaunchPage:
    """One page of the tenant's launches, archived ones only when asked for; raises Invalid for what cannot be asked."""
    if sort not in ORDERS:
        raise _wrong("sort", f"Must be one of {', '.join(ORDERS)}.")
    if status not in {"", *STATUSES}:
        raise _wrong("status", "Must be upcoming, active, completed or archived.")
    if not 1 <= limit <= MAX_LIMIT or not 1 <= page <= 10_000:
        raise _wrong("limit" if 1 <= page <= 10_000 else "page", f"limit is 1 to {MAX_LIMIT}, page 1 to 10000.")
    where = f"tenant_id = $1 and case when $2 = '' then archived_at is null else {SHOWN_AS} = $2 end"
    async with ctx.db.transaction() as conn:
        total = await conn.fetchval(f"select count(*) from launches_launches where {where}", ctx.tenant.id, status)  # noqa: S608 – of constants
        rows = await conn.fetch(
            f"select {COLUMNS} from launches_launches where {where} order by {ORDERS[sort]} limit $3 offset $4",  # noqa: S608 – of constants
            ctx.tenant.id, status, limit, (page - 1) * limit,
        )  # fmt: skip
    return LaunchPage(items=tuple(_launch(row) for row in rows), page=page, limit=limit, total=total)


async def get(ctx: Ctx, launch_id: UUID) -> Launch:
    """Raises NotFound."""
    async with ctx.db.transaction() as conn:
        return _launch(await _row(ctx, conn, launch_id))


async def archive(ctx: Ctx, launch_id: UUID, *, archived: bool) -> Launch:
    """Put a launch out of sight, or back; it keeps its purchases. Raises NotFound."""
    async with ctx.db.transaction() as conn:
        row = await conn.fetchrow(
            f"update launches_launches set archived_at = case when $3 then coalesce(archived_at, now()) end, "  # noqa: S608
            f"changed_at = now() where tenant_id = $1 and id = $2 returning {COLUMNS}",
            ctx.tenant.id, launch_id, archived,
        )  # fmt: skip
    if row is None:
        raise NotFound()
    return _launch(row)


async def delete(ctx: Ctx, launch_id: UUID) -> None:
    """Remove a launch with its link; its purchases count for no launch, or for another whose dates hold them."""
    async with ctx.db.transaction() as conn:
        found = await conn.fetchval(
            "delete from launches_launches where tenant_id = $1 and id = $2 returning id", ctx.tenant.id, launch_id
        )
        if found is None:
            raise NotFound()
        await ctx.shares.revoke(str(launch_id))
        await ctx.withdraw("recent", str(launch_id))


async def update_status(ctx: Ctx) -> None:
    """Move every launch on whose time has come; the same however often it runs."""
    async with ctx.db.transaction() as conn:
        await conn.execute(
            f"update launches_launches set status = {STATUS_NOW} where tenant_id = $1 and status <> {STATUS_NOW}",  # noqa: S608 – of constants
            ctx.tenant.id,
        )


def zone_of(ctx: Ctx) -> ZoneInfo:
    return ZoneInfo(ctx.tenant.time_zone)


async def _insert(ctx: Ctx, values: dict[str, Any]) -> Launch:
    status = status_at(values["starts_at"], values["ends_at"], datetime.now(UTC))
    async with ctx.db.transaction() as conn:
        row = await conn.fetchrow(INSERT, ctx.tenant.id, uuid7(), status, *dates.columns(values))
    return _launch(row)


async def _row(ctx: Ctx, conn: Any, launch_id: UUID, *, lock: bool = False) -> Any:
    row = await conn.fetchrow(
        f"select {COLUMNS} from launches_launches where tenant_id = $1 and id = $2 {'for update' if lock else ''}",  # noqa: S608
        ctx.tenant.id, launch_id,
    )  # fmt: skip
    if row is None:
        raise NotFound()
    return row


def _launch(row: Any) -> Launch:
    values, now = dict(row), datetime.now(UTC)
    archived, products = values.pop("archived_at") is not None, tuple(values.pop("products"))
    status = status_at(values["starts_at"], values["ends_at"], now)
    launch = Launch(**values, products=products, archived=archived, status=status, phase=None)
    return Launch(**values, products=products, archived=archived, status=status, phase=phase_at(launch, now))


def _wrong(path: str, message: str) -> Invalid:
    return Invalid("This launch request is not valid.", errors=[FieldError(path, message)])
