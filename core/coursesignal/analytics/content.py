"""What each landing page, campaign, link and referring page brought: visitors, addresses and money.

A page is the one a visit with a source began on. A video or a post is told apart by the link it carries (utm_content within its
source and campaign), or by the page that people came from, where their browser tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from coursesignal.analytics.buyers import STUDENT
from coursesignal.analytics.figures import per, percent
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.analytics.visitors import count_visitors
from coursesignal.reports import ContentReport, ContentRow, ContentTotals, MoneySum

By = Literal["landing", "campaign", "content", "referrer"]

_NAMES: Mapping[By, str] = {
    "landing": "split_part(t.landing_url, '/', 3) || t.landing_path",
    "campaign": "t.campaign",
    "content": "t.content",
    "referrer": "rtrim(split_part(split_part(split_part(t.referrer, '://', 2), '?', 1), '#', 1), '/')",
}
"""SQL of the name of a row; pages without protocol and query."""
_WITHIN: Mapping[By, tuple[str, ...]] = {"campaign": ("source",), "content": ("source", "campaign")}
"""What else tells a row from the others."""

# Credits in the order of their touches, as in the report by source.
_CONTENT = """
    with visited as (
        select {name} as name, {within} t.visitor_id, bool_or(t.is_opt_in) as opted
        from touches t
        where t.tenant_id = $1 and t.occurred_at >= $2 and t.occurred_at < $3 and {name} <> ''
        group by {name}, {within} t.visitor_id
    ),
    seen as (
        select {keys}, count(*) as visitors, count(*) filter (where opted) as opt_ins
        from visited b group by {keys}
    ),
    credited as materialized (
        select k.touch_id, c.purchase_id, k.amount_minor as amount, {sales} as is_sale
        from charges c join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $5
        order by k.touch_id
    ),
    bought as (
        select {name} as name, {within} c.purchase_id,
               coalesce(sum(c.amount) filter (where c.is_sale), 0) as charged,
               coalesce(-sum(c.amount) filter (where not c.is_sale), 0) as refunded
        from credited c join touches t on t.tenant_id = $1 and t.id = c.touch_id
        group by {name}, {within} c.purchase_id
    ),
    sold as (
        select {keys}, sum(b.charged) as charged, sum(b.refunded) as refunded,
               count(*) filter (where b.charged > 0) as purchases,
               count(distinct {student}) filter (where b.charged > 0) as students
        from bought b join purchases p on p.tenant_id = $1 and p.id = b.purchase_id
        group by {keys}
    )
    select {columns}, coalesce(visitors, 0) as visitors, coalesce(opt_ins, 0) as opt_ins,
           coalesce(charged, 0) as charged, coalesce(refunded, 0) as refunded,
           coalesce(purchases, 0) as purchases, coalesce(students, 0) as students,
           count(*) filter (where name <> '') over () as all_rows,
           sum(charged) over () as all_charged, sum(refunded) over () as all_refunded
    from seen full join sold using ({columns})
    order by name = '' desc, coalesce(charged - refunded, 0) desc, visitors desc nulls last, {columns} limit $6"""

_WHOLE = f"""
    select coalesce(sum(c.amount_minor) filter (where {SALES}), 0) as charged,
           coalesce(-sum(c.amount_minor) filter (where not {SALES}), 0) as refunded,
           (select count(distinct t.visitor_id) from touches t
            where t.tenant_id = $1 and t.occurred_at >= $2 and t.occurred_at < $3 and t.is_opt_in) as opt_ins
    from charges c
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $4"""  # noqa: S608 – of constants


_HINTS: Mapping[By, str] = {
    "landing": "Nobody visited in this period. Choose a longer one, or install the tracker.",
    "campaign": "No visit of this period came by a link that names a campaign. Put utm_campaign into your links.",
    "content": "No visit of this period came by a link that names its content. Put utm_content into the links of your posts.",
    "referrer": "No visit of this period came from a page that we can see.",
}


async def content(reading: Reading, by: By, limit: int) -> ContentReport:
    """The ``limit`` rows with the most net revenue, then the most visitors."""
    period = reading.period
    about = (reading.tenant.id, period.start_at, period.end_at)
    found = await reading.fetch(_sql(by), *about, reading.model, reading.currency, limit + 1, credits_of=period)
    whole = await reading.fetchrow(_WHOLE, *about, reading.currency)
    credited = _sum(*((found[0]["all_charged"] or 0, found[0]["all_refunded"] or 0) if found else (0, 0)))
    unnamed = _of([row for row in found if not row["name"]])
    rows = [row for row in found if row["name"]][:limit]
    return ContentReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if rows else _HINTS[by],
        by=by,
        rows=tuple(_row(row, by) for row in rows),
        other_rows=_less(_less(credited, unnamed), _of(rows)),
        rows_left_out=found[0]["all_rows"] - len(rows) if found else 0,
        unnamed=unnamed,
        unattributed=_less(_sum(whole["charged"], whole["refunded"]), credited),
        totals=ContentTotals(
            charged_minor=int(whole["charged"]),
            refunded_minor=int(whole["refunded"]),
            revenue_minor=int(whole["charged"] - whole["refunded"]),
            visitors=await count_visitors(reading, period),
            opt_ins=whole["opt_ins"],
        ),
        other_currencies=await other_currencies(reading),
    )


def _sql(by: By) -> str:
    within = _WITHIN.get(by, ())
    return _CONTENT.format(
        name=_NAMES[by],
        within="".join(f"t.{column}, " for column in within),
        keys=", ".join(f"b.{column}" for column in ("name", *within)),
        columns=", ".join(("name", *within)),
        sales=SALES,
        student=STUDENT,
    )


def _row(row: Any, by: By) -> ContentRow:
    charged, refunded = int(row["charged"]), int(row["refunded"])
    return ContentRow(
        name=row["name"],
        source=row["source"] if "source" in _WITHIN.get(by, ()) else None,
        campaign=row["campaign"] if "campaign" in _WITHIN.get(by, ()) else None,
        visitors=row["visitors"],
        opt_ins=row["opt_ins"],
        opt_in_rate=percent(row["opt_ins"], row["visitors"]),
        purchases=row["purchases"],
        students=row["students"],
        charged_minor=charged,
        refunded_minor=refunded,
        revenue_minor=charged - refunded,
        conversion_rate=percent(row["purchases"], row["visitors"]),
        revenue_per_visitor_minor=per(charged - refunded, row["visitors"]),
    )


def _sum(charged: Any, refunded: Any) -> MoneySum:
    return MoneySum(
        charged_minor=int(charged), refunded_minor=int(refunded), revenue_minor=int(charged) - int(refunded)
    )


def _of(rows: Sequence[Any]) -> MoneySum:
    return _sum(sum(row["charged"] for row in rows), sum(row["refunded"] for row in rows))


def _less(whole: MoneySum, part: MoneySum) -> MoneySum:
    return _sum(whole.charged_minor - part.charged_minor, whole.refunded_minor - part.refunded_minor)
