"""How a site's tracking is doing, for GET /api/script/info."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coursesignal.plugin import Tenant
from coursesignal.tracking.batch import Connection
from coursesignal.tracking.reasons import Correction, IgnoredLink
from coursesignal.tracking.schemas import ScriptInfo, SiteOut

DROP_DAYS = 7


async def script_info(conn: Connection, tenant: Tenant, site: SiteOut, script_url: str, now: datetime) -> ScriptInfo:
    """Counts over all the tenant's sites: stored events as soon as they are acknowledged, drops once the pipeline saw them."""
    today = now.astimezone(ZoneInfo(tenant.time_zone)).date()
    midnight = datetime.combine(today, time(), ZoneInfo(tenant.time_zone)).astimezone(UTC)
    last_at = await conn.fetchval("select max(occurred_at) from events where tenant_id = $1", tenant.id)
    events_today = await conn.fetchval(
        "select count(distinct event_id) from events where tenant_id = $1 and occurred_at >= $2", tenant.id, midnight
    )
    drops = await conn.fetch(
        """
        select reason, sum(hits)::bigint as hits from drop_counts where tenant_id = $1 and day > $2
        group by reason order by reason
        """,
        tenant.id,
        today - timedelta(days=DROP_DAYS),
    )
    return ScriptInfo(
        site_key=site.site_key,
        script_url=script_url,
        status="waiting" if last_at is None else "receiving",
        events_today=events_today,
        dropped={reason: hits for reason, hits in drops if reason not in {*Correction, *IgnoredLink}},
        corrected={reason: hits for reason, hits in drops if reason in set(Correction)},
        ignored_links={reason: hits for reason, hits in drops if reason in set(IgnoredLink)},
        last_event_at=None if last_at is None else min(last_at, now),
    )
