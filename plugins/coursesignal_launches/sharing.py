"""A launch for people without a login: its link, and the recap behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from coursesignal.plugin import NotFound
from coursesignal_launches import launches, results
from coursesignal_launches.breakdown import percent
from coursesignal_launches.schemas import Launch, LaunchAnalytics, Recap, RecapSource, Shared, ShareForm, Views
from coursesignal_launches.settings import Ctx

TOP = 5


async def enable(ctx: Ctx, launch: Launch, form: ShareForm) -> Shared:
    """Make a link, which ends the one before; raises Invalid for a password or an expiry that cannot be."""
    expires_at = form.expires_at
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=launches.zone_of(ctx))
    token = await ctx.shares.create(str(launch.id), password=form.password, expires_at=expires_at)
    await ctx.enqueue("post")
    return Shared(
        share_token=token,
        share_url=f"/api/public/launches/{token}",
        page_url=f"/share/launches/{token}",
        has_password=bool(form.password),
        expires_at=expires_at,
    )


async def disable(ctx: Ctx, launch: Launch) -> None:
    """End the link at once; nothing where there is none."""
    async with ctx.db.transaction():
        await ctx.shares.revoke(str(launch.id))
        await ctx.withdraw("recent", str(launch.id))


async def views(ctx: Ctx, launch: Launch) -> Views:
    """What the link is like and how often it was opened."""
    link = (await ctx.shares.find([str(launch.id)])).get(str(launch.id))
    days = await ctx.shares.views(str(launch.id))
    return Views(
        shared=link is not None and (link.expires_at is None or link.expires_at > datetime.now(UTC)),
        has_password=link is not None and link.has_password,
        expires_at=link.expires_at if link else None,
        views=sum(count for _, count in days),
        last_viewed_at=link.last_viewed_at if link else None,
        days=tuple({"date": day.isoformat(), "views": count} for day, count in days),
    )


async def recap(ctx: Ctx, subject: str) -> Recap:
    """What a link shows; raises NotFound when the launch is gone."""
    try:
        launch = await launches.get(ctx, UUID(subject))
    except ValueError as error:
        raise NotFound() from error
    return recap_of(ctx, await results.analytics(ctx, launch))


def recap_of(ctx: Ctx, found: LaunchAnalytics) -> Recap:
    """Sums alone: no buyer, no order, no product's price."""
    launch = found.launch
    return Recap(
        title=launch.title,
        description=launch.description,
        tenant=ctx.tenant.name,
        status=launch.status,
        starts_at=launch.starts_at,
        ends_at=launch.ends_at,
        time_zone=ctx.tenant.time_zone,
        figures=found.figures,
        goals=found.goals,
        days=found.days,
        phases=found.phases,
        sources=top_sources(found),
    )


def top_sources(found: LaunchAnalytics) -> tuple[RecapSource, ...]:
    """Where most of the net revenue came from, each with its part of it."""
    sellers = [row for row in found.attribution.rows if row.revenue_minor > 0][:TOP]
    net = found.figures.net_revenue_minor
    return tuple(RecapSource(source=row.source, share=percent(row.revenue_minor, net)) for row in sellers)
