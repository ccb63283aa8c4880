"""Of which purchases it is known who made them and how they came; of the others, why not and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from coursesignal.analytics.coverage_reasons import EXPLANATIONS, NEXT_STEPS, PROBABLE, PROBABLE_STEP, Reason
from coursesignal.analytics.figures import percent
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.attribution.paths import CLOSES_AT
from coursesignal.reports import CoverageExample, CoverageReport, CoverageRow, CoverageStatus, CoverageSum

EXAMPLES = 5
STATUSES: tuple[CoverageStatus, ...] = ("matched", "probable", "unmatched")

# One purchase after the other is looked up only as far as it takes to find its reason.
_COVERAGE = f"""
    with moved as (
        select c.purchase_id, coalesce(sum(c.amount_minor) filter (where {SALES}), 0) as charged,
               coalesce(-sum(c.amount_minor) filter (where not {SALES}), 0) as refunded
        from charges c
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $4
        group by c.purchase_id
    ),
    asked as materialized (
        select p.id, p.person_id, p.email, p.purchased_at, m.charged, m.refunded,
               {CLOSES_AT.format(purchased_at="p.purchased_at")} as closes_at,
               case p.match when 'unmatched' then 'unmatched' when 'probable' then 'probable' else 'matched' end as status
        from moved m join purchases p on p.tenant_id = $1 and p.id = m.purchase_id
    ),
    explained as materialized (
        select a.*, case
            when exists (
                select from credits k where k.tenant_id = $1 and k.purchase_id = a.id and k.model = $5
            ) then '{Reason.CREDITED}'
            when a.status = 'probable' then '{Reason.MODEL_CREDITS_NONE}'
            when a.status <> 'unmatched' then case
                when exists (
                    select from visitors v join touches t on t.tenant_id = $1 and t.visitor_id = v.id
                    where v.tenant_id = $1 and v.person_id = a.person_id
                        and t.occurred_at >= a.purchased_at - make_interval(days => $6) and t.occurred_at <= a.closes_at
                ) then '{Reason.MODEL_CREDITS_NONE}'
                when exists (
                    select from visitors v join touches t on t.tenant_id = $1 and t.visitor_id = v.id
                    where v.tenant_id = $1 and v.person_id = a.person_id and t.occurred_at <= a.closes_at
                ) then '{Reason.VISITS_OUTSIDE_WINDOW}'
                when exists (
                    select from visitors v
                    where v.tenant_id = $1 and v.person_id is not null and v.person_id = a.person_id
                ) then '{Reason.VISITS_AFTER_PURCHASE}'
                else '{Reason.NOT_CREDITED_YET}' end
            when coalesce(a.email, '') = '' then '{Reason.NO_EMAIL}'
            when not exists (
                select from sessions s where s.tenant_id = $1
                    and s.started_at >= a.purchased_at - make_interval(days => $6) and s.started_at <= a.closes_at
            ) then '{Reason.TRACKER_SILENT}'
            when exists (
                select from person_identifiers i
                where i.tenant_id = $1 and i.person_id = a.person_id and i.kind = 'email' and i.evidence = 'identify'
            ) then '{Reason.SHARED_BROWSER}'
            else '{Reason.NEVER_IDENTIFIED}' end as reason
        from asked a
    )
    select status, reason, count(*) filter (where charged > 0) as purchases, sum(charged) as charged, sum(refunded) as refunded,
           (array_agg(id order by purchased_at desc, id desc)
               filter (where reason <> '{Reason.CREDITED}'))[:{EXAMPLES}] as examples
    from explained group by status, reason"""  # noqa: S608 – of constants

_EXAMPLES = """
    select p.id, p.platform, p.email, p.purchased_at, coalesce(sum(c.amount_minor), 0) as net
    from purchases p
    join charges c on c.tenant_id = $1 and c.purchase_id = p.id and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $4
    where p.tenant_id = $1 and p.id = any($5::uuid[])
    group by p.id, p.platform, p.email, p.purchased_at"""


async def coverage(reading: Reading) -> CoverageReport:
    """Every purchase whose money moved in the period, by status and reason."""
    period = reading.period
    about = (reading.tenant.id, period.start_at, period.end_at, reading.currency)
    found = await reading.fetch(_COVERAGE, *about, reading.model, reading.lookback_days, credits_of=period)
    ids = [purchase_id for row in found for purchase_id in row["examples"] or ()]
    examples = {row["id"]: _example(row) for row in await reading.fetch(_EXAMPLES, *about, ids)}
    whole = sum(row["purchases"] for row in found)
    sums = {status: _sum([row for row in found if row["status"] == status], whole) for status in STATUSES}
    credited = sum(row["purchases"] for row in found if row["reason"] == Reason.CREDITED)
    return CoverageReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if found else "No money moved in this period. Choose a longer one, or connect your platform.",
        match_rate=percent(whole - sums["unmatched"].purchases, whole),
        credited_rate=percent(credited, whole),
        matched=sums["matched"],
        probable=sums["probable"],
        unmatched=sums["unmatched"],
        totals=_sum(found, whole),
        rows=tuple(_row(row, whole, examples) for row in sorted(found, key=_place)),
        other_currencies=await other_currencies(reading),
    )


def _place(row: Any) -> tuple[int, int]:
    """Rows are in the order of their status and reason."""
    return STATUSES.index(row["status"]), list(Reason).index(Reason(row["reason"]))


def _sum(rows: Sequence[Any], whole: int) -> CoverageSum:
    purchases = sum(row["purchases"] for row in rows)
    net = sum(int(row["charged"] - row["refunded"]) for row in rows)
    return CoverageSum(purchases=purchases, share=percent(purchases, whole), net_revenue_minor=net)


def _row(row: Any, whole: int, examples: Mapping[UUID, CoverageExample]) -> CoverageRow:
    reason = Reason(row["reason"])
    guessed = row["status"] == "probable" and reason is Reason.CREDITED
    return CoverageRow(
        status=row["status"],
        reason=reason,
        explanation=PROBABLE if guessed else EXPLANATIONS[reason],
        next_step=PROBABLE_STEP if guessed else NEXT_STEPS.get(reason),
        purchases=row["purchases"],
        share=percent(row["purchases"], whole),
        charged_minor=int(row["charged"]),
        refunded_minor=int(row["refunded"]),
        net_revenue_minor=int(row["charged"] - row["refunded"]),
        examples=tuple(examples[purchase_id] for purchase_id in row["examples"] or ()),
    )


def _example(row: Any) -> CoverageExample:
    return CoverageExample(
        id=row["id"],
        platform=row["platform"],
        email=row["email"],
        purchased_at=row["purchased_at"],
        net_revenue_minor=int(row["net"]),
    )
