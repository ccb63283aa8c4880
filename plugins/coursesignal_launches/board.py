"""What a tenant lets us say of its launches in public, put up and taken down as things change."""

from __future__ import annotations

from datetime import UTC, datetime

from coursesignal_launches import launches, results, sharing
from coursesignal_launches.schemas import Launch
from coursesignal_launches.settings import Ctx

RECENT, TOTALS = "recent", "totals"
SHOWN = 20
"""Launches of one tenant."""
_TOTALS = """
    select count(*) as purchases, count(*) filter (where match <> 'unmatched') as matched,
        count(distinct coalesce(person_id, md5(lower(email))::uuid, id)) as students
    from purchases where tenant_id = $1 and charged_minor > 0"""


async def post_all(ctx: Ctx) -> None:
    """Bring both boards up to date; the same however often it runs."""
    await post_recent(ctx)
    await _post_totals(ctx)


async def post_recent(ctx: Ctx) -> None:
    """The shared launches that have begun, in the form the tenant chose; none when it chose none."""
    found = await _shared(ctx) if ctx.settings.recent_launches != "off" else []
    notices = {str(launch.id): (await _notice(ctx, launch), launch.starts_at) for launch in found}
    async with ctx.db.transaction():
        await ctx.withdraw(RECENT)
        for key, (body, at) in notices.items():
            await ctx.publish(RECENT, key, body, at=at)


async def _shared(ctx: Ctx) -> list[Launch]:
    """Launches whose link is open to whoever has it: not expired, without a password."""
    page = await launches.listed(ctx, status="", sort="-startsAt", page=1, limit=launches.MAX_LIMIT)
    begun = [launch for launch in page.items if launch.status != "upcoming"]
    links = await ctx.shares.find([str(launch.id) for launch in begun])
    now = datetime.now(UTC)
    return [
        launch
        for launch in begun
        if (link := links.get(str(launch.id))) is not None
        and not link.has_password
        and (link.expires_at is None or link.expires_at > now)
    ][:SHOWN]


async def _notice(ctx: Ctx, launch: Launch) -> dict[str, object]:
    found = await results.analytics(ctx, launch)
    named = ctx.settings.recent_launches == "named"
    sources, figures = sharing.top_sources(found), found.figures
    return {
        "title": launch.title if named else None,
        "creator": ctx.tenant.name if named else None,
        "status": launch.status,
        "startedOn": launch.starts_at.date().isoformat() if named else launch.starts_at.strftime("%Y-%m"),
        "currency": figures.currency,
        "netRevenueMinor": figures.net_revenue_minor if named else rounded(figures.net_revenue_minor),
        "students": figures.students if named else rounded(figures.students),
        "topSource": sources[0].source if sources else None,
    }


def rounded(number: int) -> int:
    """Cut to its first digit and zeros, so that nobody is known by it; 0 below ten."""
    digits = str(max(0, number))
    return int(digits[0] + "0" * (len(digits) - 1)) if len(digits) > 1 else 0


async def _post_totals(ctx: Ctx) -> None:
    if not ctx.settings.public_stats:
        await ctx.withdraw(TOTALS)
        return
    async with ctx.db.transaction() as conn:
        row = await conn.fetchrow(_TOTALS, ctx.tenant.id)
        count = await conn.fetchval(
            "select count(*) from launches_launches where tenant_id = $1 and starts_at <= now()", ctx.tenant.id
        )
        await ctx.publish(TOTALS, "totals", {**dict(row), "launches": count})
