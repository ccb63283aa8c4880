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


class RateLimiter:
    """Counts hits per bucket; a bucket's name carries what it limits, such as ``login:<hash of the address>``."""

    async def hit(self, db: Database, bucket: str, limit: int, window_s: int) -> None:
        """Count one hit; raises RateLimited with the seconds to wait when the window already had ``limit``."""
        async with db.control() as conn:
            row = await conn.fetchrow(HIT, bucket, float(window_s))
        assert row is not None
        if row["hits"] > limit:
            raise RateLimited(retry_after_s=max(1, row["wait_s"]))
