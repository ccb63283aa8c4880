"""Claimed sources beside tracked ones: who says what, how often the model agrees, and what a claim would explain."""

from __future__ import annotations

from collections import Counter
from typing import Any

from coursesignal.analytics.claims import CLAIMED
from coursesignal.analytics.figures import Sales, percent
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES, Sold, credited, sold_by_currency
from coursesignal.reports import ClaimKinds, SelfReportedReport, SelfReportedRow

# A purchase counts in the period its money moved in, as in every other report. The empty source stands for all together.
_REPORT = f"""
    with moved as materialized (
        select c.purchase_id, sum(c.amount_minor) as net, coalesce(sum(c.amount_minor) filter (where {SALES}), 0) as charged,
            sum(c.amount_minor - coalesce((
                select sum(k.amount_minor) from credits k
                where k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
            ), 0)) as rest
        from charges c
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $5
        group by c.purchase_id
    ),
    claimed as materialized (
        select x.purchase_id, x.source, bool_or(x.kind = 'survey') as survey, bool_or(x.kind = 'coupon') as coupon,
            bool_or(x.kind = 'platform') as platform
        from ({CLAIMED.format(which="p.id in (select purchase_id from moved)")}) x where x.source <> ''
        group by x.purchase_id, x.source
    ),
    credited as materialized (
        select distinct k.purchase_id, lower(t.source) as source
        from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id
        where k.tenant_id = $1 and k.model = $4 and k.purchase_id in (select purchase_id from claimed)
    ),
    counted as (
        select c.source, c.survey, c.coupon, c.platform, c.purchase_id,
            exists (select from credited k where k.purchase_id = c.purchase_id) as attributed,
            exists (select from credited k where k.purchase_id = c.purchase_id and k.source = c.source) as agreeing
        from claimed c
        union all
        select '', bool_or(c.survey), bool_or(c.coupon), bool_or(c.platform), c.purchase_id,
            exists (select from credited k where k.purchase_id = c.purchase_id), false
        from claimed c group by c.purchase_id
    )
    select c.source, count(*) filter (where m.charged > 0) as purchases,
        count(distinct coalesce(p.person_id, md5(lower(p.email))::uuid, p.id)) filter (where m.charged > 0) as buyers,
        count(*) filter (where c.survey and m.charged > 0) as survey,
        count(*) filter (where c.coupon and m.charged > 0) as coupon,
        count(*) filter (where c.platform and m.charged > 0) as platform,
        count(*) filter (where c.attributed and m.charged > 0) as attributed,
        count(*) filter (where c.agreeing and m.charged > 0) as agreeing,
        count(*) filter (where not c.attributed and m.charged > 0) as explained,
        sum(m.net)::bigint as revenue, sum(m.rest)::bigint as rest
    from counted c join moved m using (purchase_id) join purchases p on p.tenant_id = $1 and p.id = c.purchase_id
    group by c.source"""  # noqa: S608 – of constants
_NOBODY: dict[str, Any] = dict.fromkeys(("purchases", "buyers", "revenue", "rest", "explained"), 0)


async def self_reported(reading: Reading) -> SelfReportedReport:
    """Every source that somebody claims for a purchase whose money moved in the period, most revenue first."""
    period = reading.period
    values = (reading.tenant.id, period.start_at, period.end_at, reading.model, reading.currency)
    found = {row["source"]: row for row in await reading.fetch(_REPORT, *values, credits_of=reading.period)}
    every = found.pop("", _NOBODY)
    tracked: Counter[str] = Counter()
    for group in await credited(reading, period, ["source"], currency=reading.currency):
        tracked[group.key[0].lower()] += group.sales.net_minor
    sold = (await sold_by_currency(reading, period)).get(reading.currency, Sold(Sales(), Sales()))
    return SelfReportedReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        buyers=every["buyers"],
        purchases=every["purchases"],
        revenue_minor=every["revenue"],
        unattributed_minor=sold.rest.net_minor,
        explains_minor=every["rest"],
        explains_purchases=every["explained"],
        rows=sorted(
            (_row(row, tracked[source]) for source, row in found.items()),
            key=lambda row: (-row.revenue_minor, row.source),
        ),
    )


def _row(row: Any, tracked_minor: int) -> SelfReportedRow:
    return SelfReportedRow(
        source=row["source"],
        kinds=ClaimKinds(survey=row["survey"], coupon=row["coupon"], platform=row["platform"]),
        buyers=row["buyers"],
        purchases=row["purchases"],
        revenue_minor=row["revenue"],
        tracked_minor=tracked_minor,
        attributed=row["attributed"],
        agreeing=row["agreeing"],
        agreement_rate=percent(row["agreeing"], row["attributed"]),
        explains_minor=row["rest"],
        explains_purchases=row["explained"],
    )
