"""Generate advice, keep it, and say plainly when there is too little to go by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from coursesignal.plugin import Advice, Context, NoSettings, uuid7
from coursesignal_recommendations.rules import RULES
from coursesignal_recommendations.schemas import Item, Recommendations

Ctx = Context[NoSettings]
ENOUGH = min(rule.minimum_purchases for rule in RULES)

MESSAGES = {
    "never_generated": "Nothing was looked for yet: advice is made every night, and whenever you ask for it.",
    "not_enough_data": f"There is not enough data yet: the first advice needs {ENOUGH} purchases, you have {{purchases}}.",
    "nothing_to_advise": "Looked at {purchases} purchases and found nothing that stands out beyond chance.",
    "ok": "Found {found} from {purchases} purchases.",
}

_KEEP = """
    insert into recommendations_advice
        (tenant_id, id, rule, key, kind, priority, title, body, evidence, link, first_seen_at, last_seen_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
    on conflict (tenant_id, rule, key) do update set
        kind = excluded.kind, priority = excluded.priority, title = excluded.title, body = excluded.body,
        evidence = excluded.evidence, link = excluded.link, last_seen_at = excluded.last_seen_at
    returning first_seen_at = last_seen_at as is_new"""

_ITEMS = """
    select rule, key, kind as type, priority, title, body, evidence, link, first_seen_at from recommendations_advice
    where tenant_id = $1 order by priority, first_seen_at desc, rule, key"""


async def generate(ctx: Ctx) -> Recommendations:
    """Ask every rule the tenant has, keep what holds now, forget what no longer does, announce what is new."""
    found = await ctx.advice()
    purchases = (await ctx.reports.summary("all")).purchases
    now = datetime.now(UTC)
    async with ctx.db.transaction() as conn:
        fresh = [advice for advice in found if await _keep(ctx, conn, advice, now)]
        await conn.execute(
            "delete from recommendations_advice where tenant_id = $1 and last_seen_at < $2", ctx.tenant.id, now
        )
        await conn.execute("delete from recommendations_runs where tenant_id = $1", ctx.tenant.id)
        await conn.execute(
            "insert into recommendations_runs (tenant_id, id, generated_at, purchases, found) values ($1, $2, $3, $4, $5)",
            ctx.tenant.id, uuid7(), now, purchases, len(found),
        )  # fmt: skip
        for advice in fresh:
            await ctx.raise_recommendation(advice)
    return await current(ctx)


async def current(ctx: Ctx) -> Recommendations:
    """The advice of the last run."""
    async with ctx.db.transaction() as conn:
        run = await conn.fetchrow(
            "select generated_at, purchases from recommendations_runs where tenant_id = $1 order by generated_at desc limit 1",
            ctx.tenant.id,
        )
        rows = await conn.fetch(_ITEMS, ctx.tenant.id)
    return _answer(run, [Item(**row) for row in rows])


def _answer(run: Any, items: Sequence[Item]) -> Recommendations:
    purchases = run["purchases"] if run else 0
    if run is None:
        status = "never_generated"
    elif items:
        status = "ok"
    else:
        status = "not_enough_data" if purchases < ENOUGH else "nothing_to_advise"
    return Recommendations(
        status=status,  # type: ignore[arg-type]
        message=MESSAGES[status].format(purchases=purchases, found=len(items)),
        generated_at=run["generated_at"] if run else None,
        purchases=purchases,
        items=tuple(items),
    )


async def _keep(ctx: Ctx, conn: Any, advice: Advice, now: datetime) -> bool:
    """Store one piece of advice; True when it was not there before."""
    found = advice.recommendation
    is_new: bool = await conn.fetchval(
        _KEEP, ctx.tenant.id, uuid7(), advice.rule, found.key, found.kind, found.priority, found.title, found.body,
        dict(found.evidence), found.link, now,
    )  # fmt: skip
    return is_new
