"""What a launch brought in: worked out while it runs, kept once it is over, corrected when its money changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from coursesignal.plugin import FieldError, Invalid, SourcesReport, Summary
from coursesignal_launches import breakdown
from coursesignal_launches.orders import Order, orders_of, own
from coursesignal_launches.pace import goals
from coursesignal_launches.phases import spans
from coursesignal_launches.schemas import (
    Correction,
    Day,
    Figures,
    Hour,
    Launch,
    LaunchAnalytics,
    OtherCurrency,
    Out,
    Phase,
    PhaseShare,
    Results,
    SourceShare,
    WarmUp,
)
from coursesignal_launches.settings import Ctx

TOP_SOURCES = 10
SETTLES = timedelta(hours=1)
"""After its end a launch's last visits and sales still come in, and are credited."""
CREDITED_IN = timedelta(minutes=2)
"""Money learnt of less long ago may not be credited yet."""

_VISITORS = """
    select count(distinct visitor_id) from sessions where tenant_id = $1 and started_at >= $2 and started_at < $3"""
_KEPT = "select basis, results, corrections, frozen_at from launches_results where tenant_id = $1 and launch_id = $2"
_KEEP = """
    insert into launches_results (tenant_id, launch_id, basis, results, corrections) values ($1, $2, $3, $4, $5)
    on conflict (tenant_id, launch_id) do update set basis = excluded.basis, results = excluded.results,
        corrections = excluded.corrections, frozen_at = case
            when launches_results.basis = excluded.basis then launches_results.frozen_at else now() end
    returning frozen_at"""


class Worked(Out, frozen=True, kw_only=True):
    """All that is kept of a completed launch; ``attribution`` by model."""

    starts_at: datetime
    ends_at: datetime
    model: str
    figures: Figures
    match_rate: float | None
    other_currencies: tuple[OtherCurrency, ...]
    days: tuple[Day, ...]
    hours: tuple[Hour, ...]
    phases: tuple[PhaseShare, ...]
    warm_up: WarmUp
    attribution: Mapping[str, SourcesReport]
    models: tuple[str, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Results as they stand: worked out now, or kept."""

    worked: Worked
    frozen_at: datetime | None = None
    corrections: tuple[Correction, ...] = ()


async def analytics(ctx: Ctx, launch: Launch, model: str = "") -> LaunchAnalytics:
    """The launch's results under ``model``, the tenant's own without; raises Invalid for one that is none."""
    now = datetime.now(UTC)
    standing = await stand(ctx, launch, now, model)
    worked = standing.worked
    return LaunchAnalytics(
        launch=launch,
        as_of=now,
        frozen_at=standing.frozen_at,
        corrections=standing.corrections,
        figures=worked.figures,
        match_rate=worked.match_rate,
        other_currencies=worked.other_currencies,
        goals=goals(launch, worked.figures.net_revenue_minor, worked.figures.purchases, now),
        days=worked.days,
        hours=worked.hours,
        phases=worked.phases,
        warm_up=worked.warm_up,
        attribution=worked.attribution[model or worked.model],
        models=worked.models,
    )


async def results(ctx: Ctx, launch: Launch) -> Results | None:
    """The results in short, under the tenant's model; None before the start."""
    if launch.status == "upcoming":
        return None
    worked = (await stand(ctx, launch, datetime.now(UTC))).worked
    report = worked.attribution[worked.model]
    sellers = [row for row in report.rows if row.purchases or row.revenue_minor]
    return Results(
        **msgspec.structs.asdict(worked.figures),
        model=worked.model,
        unattributed_minor=report.unattributed.revenue_minor,
        sources=tuple(
            SourceShare(
                source=row.source, channel=row.channel, revenue_minor=row.revenue_minor, purchases=row.purchases
            )
            for row in sellers[:TOP_SOURCES]
        ),
    )


async def stand(ctx: Ctx, launch: Launch, now: datetime, model: str = "") -> Standing:
    """Those that are kept when nothing changed; else worked out, and kept once the launch is over and settled."""
    async with ctx.db.transaction() as conn:
        orders = await orders_of(conn, ctx.tenant.id, launch.id)
        kept = await conn.fetchrow(_KEPT, ctx.tenant.id, launch.id) if launch.status == "completed" else None
    basis = basis_of(ctx, launch, orders)
    if kept is not None and kept["basis"] == basis:
        before = msgspec.convert(kept["results"], Worked)
        if model and model not in before.attribution:
            raise _no_model(before.models)
        return Standing(
            worked=before,
            frozen_at=kept["frozen_at"],
            corrections=msgspec.convert(kept["corrections"], tuple[Correction, ...]),
        )
    final = launch.status == "completed" and _settled(launch, orders, now)
    worked = await work_out(ctx, launch, orders, now, model, every_model=final)
    return await _keep(ctx, launch, basis, worked, kept, now) if final else Standing(worked=worked)


async def work_out(
    ctx: Ctx, launch: Launch, orders: Sequence[Order], now: datetime, model: str = "", *, every_model: bool = False
) -> Worked:
    """Results of these orders now: money and credits as the reports of these purchases have them."""
    window = (launch.starts_at, launch.ends_at)
    reports = ctx.reports.of_purchases(sorted({order.id for order in orders}), within=window)
    summary = await reports.summary(window)
    models = (await reports.compare(window)).models
    if model and model not in models:
        raise _no_model(models)
    mine = own(orders, ctx.tenant.currency)
    today = now.astimezone(ZoneInfo(ctx.tenant.time_zone)).date()
    wanted = {summary.model, *(models if every_model else (model,) if model else ())}
    return Worked(
        starts_at=launch.starts_at,
        ends_at=launch.ends_at,
        model=summary.model,
        figures=_figures(summary, sum(order.later for order in mine)),
        match_rate=summary.match_rate,
        other_currencies=tuple(
            OtherCurrency(
                currency=other.currency, net_revenue_minor=other.net_revenue_minor, purchases=other.purchases
            )
            for other in summary.other_currencies
        ),
        days=tuple(
            Day(
                date=day.date, revenue_minor=day.revenue_minor, refunded_minor=day.refunded_minor,
                net_revenue_minor=day.net_revenue_minor, purchases=day.purchases,
            )
            for day in (await reports.daily_revenue(window)).days
            if day.date <= today or day.purchases
        ),
        hours=breakdown.hours(launch, mine, now),
        phases=breakdown.phases(launch, mine, await _visitors(ctx, launch)),
        warm_up=breakdown.warm_up(launch, mine),
        attribution={slug: await reports.sources(window, model=slug) for slug in sorted(wanted)},
        models=models,
    )  # fmt: skip


def basis_of(ctx: Ctx, launch: Launch, orders: Sequence[Order]) -> str:
    """A fingerprint of what results follow from: the dates, and every purchase's money."""
    dates = [at.isoformat() for _, start, end in spans(launch) for at in (start, end)]
    money = [(str(o.id), o.currency, o.charged, o.refunded, o.later) for o in orders]
    told = msgspec.json.encode([ctx.tenant.currency, ctx.tenant.time_zone, dates, sorted(money)])
    return hashlib.sha256(told).hexdigest()


async def _keep(ctx: Ctx, launch: Launch, basis: str, worked: Worked, kept: Any, now: datetime) -> Standing:
    corrections: tuple[Correction, ...] = ()
    if kept is not None:
        before = msgspec.convert(kept["results"], Worked)
        worked = _with_visits_of(before, worked)
        corrections = (
            *msgspec.convert(kept["corrections"], tuple[Correction, ...]),
            *_correction(before, worked, now),
        )
    async with ctx.db.transaction() as conn:
        frozen_at = await conn.fetchval(
            _KEEP, ctx.tenant.id, launch.id, basis, msgspec.to_builtins(worked), msgspec.to_builtins(corrections)
        )
    return Standing(worked=worked, frozen_at=frozen_at, corrections=corrections)


def _correction(before: Worked, after: Worked, now: datetime) -> tuple[Correction, ...]:
    """What changed a result that had been final, if it did."""
    was, is_ = before.figures, after.figures
    if (was.net_revenue_minor, was.purchases) == (is_.net_revenue_minor, is_.purchases):
        return ()
    same_dates = (before.starts_at, before.ends_at) == (after.starts_at, after.ends_at)
    money = "refund" if is_.refunded_minor > was.refunded_minor else "purchases"
    reason = money if same_dates else "dates"
    return (
        Correction(
            at=now, reason=reason, net_before_minor=was.net_revenue_minor, net_after_minor=is_.net_revenue_minor,
            purchases_before=was.purchases, purchases_after=is_.purchases,
        ),
    )  # fmt: skip


def _with_visits_of(before: Worked, after: Worked) -> Worked:
    """A correction of money leaves the visitors of the same dates: visits may have been removed since."""
    if (before.starts_at, before.ends_at) != (after.starts_at, after.ends_at):
        return after
    seen = {phase.phase: phase.visitors for phase in before.phases}
    visitors = before.figures.visitors
    figures = msgspec.structs.replace(
        after.figures,
        visitors=visitors,
        conversion_rate=breakdown.percent(after.figures.purchases, visitors),
    )
    phases = tuple(msgspec.structs.replace(p, visitors=seen.get(p.phase, p.visitors)) for p in after.phases)
    return msgspec.structs.replace(after, figures=figures, phases=phases)


def _figures(summary: Summary, later: int) -> Figures:
    return Figures(
        currency=summary.currency,
        revenue_minor=summary.revenue_minor,
        refunded_minor=summary.refunded_minor,
        net_revenue_minor=summary.net_revenue_minor,
        later_minor=later,
        purchases=summary.purchases,
        students=summary.students,
        average_order_minor=summary.average_order_minor,
        visitors=summary.visitors,
        conversion_rate=summary.conversion_rate,
    )


async def _visitors(ctx: Ctx, launch: Launch) -> dict[Phase, int]:
    async with ctx.db.transaction() as conn:
        return {phase: await conn.fetchval(_VISITORS, ctx.tenant.id, a, b) for phase, a, b in spans(launch)}


def _settled(launch: Launch, orders: Sequence[Order], now: datetime) -> bool:
    newest = max((order.recorded_at for order in orders), default=launch.ends_at)
    return now >= launch.ends_at + SETTLES and now >= newest + CREDITED_IN


def _no_model(models: Sequence[str]) -> Invalid:
    wrong = FieldError("model", f"Must be one of {', '.join(sorted(models))}.")
    return Invalid("This attribution model does not exist.", errors=[wrong])
