"""What the plugin does by itself: move launches on, keep the results of those that are over, say what may be said in public."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coursesignal_launches import board, launches, results
from coursesignal_launches.settings import Ctx

AT_ONCE = 20
_UNKEPT = """
    select l.id from launches_launches l where l.tenant_id = $1 and l.ends_at <= now() - interval '1 hour'
        and not exists (select 1 from launches_results r where r.tenant_id = $1 and r.launch_id = l.id)
    order by l.ends_at desc limit $2"""


async def update_status(ctx: Ctx) -> None:
    """The same however often it runs."""
    await launches.update_status(ctx)
    now = datetime.now(UTC)
    async with ctx.db.transaction() as conn:
        rows: list[Any] = await conn.fetch(_UNKEPT, ctx.tenant.id, AT_ONCE)
    for row in rows:
        await results.stand(ctx, await launches.get(ctx, row["id"]), now)
    await board.post_all(ctx)


async def post_all(ctx: Ctx) -> None:
    """Settings changed, or a launch was shared: what is public follows at once."""
    await board.post_all(ctx)
