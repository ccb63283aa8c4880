"""Rate limits, counted in the database so that all processes share them: fixed windows, one atomic upsert a hit."""

from __future__ import annotations

from coursesignal.db.engine import Database
from coursesignal.errors import RateLimited

HIT = """
    insert into rate_limits (bucket, window_start, hits)
    values ($1, to_timestamp(floor(extract(epoch from clock_timestamp()) / $2) * $2), 1)
    on conflict (bucket, window_start) do update set hits = rate_limits.hits + 1
    returning hits, ceil(extract(epoch from window_start) + $2 - extract(epoch from clock_timestamp()))::int as wait_s
"""
SWEEP = """
    delete from rate_limits where (bucket, window_start) in (
        select bucket, window_start from rate_limits where window_start < now() - interval '1 day'
        limit 100 for update skip locked
    )
"""


class RateLimiter:
    """Counts hits per bucket; a bucket's name carries what it limits, such as ``login:<hash of the address>``."""

    async def hit(self, db: Database, bucket: str, limit: int, window_s: int) -> None:
        """Count one hit; raises RateLimited with the seconds to wait when the window already had ``limit``.

        To be called outside of other transactions: a count that is rolled back limits nothing. Windows are a day at most.
        """
        async with db.control() as conn:
            row = await conn.fetchrow(HIT, bucket, float(window_s))
            assert row is not None
            if row["hits"] == 1:  # a new window pays for clearing old ones away
                await conn.execute(SWEEP)
        if row["hits"] > limit:
            raise RateLimited(retry_after_s=max(1, row["wait_s"]))

    async def forget(self, db: Database, bucket: str) -> None:
        """Start the bucket's count again."""
        async with db.control() as conn:
            await conn.execute("delete from rate_limits where bucket = $1", bucket)
