"""Payment plans: what was collected, what is contracted, and what of it may not come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.errors import FieldError, Invalid
from coursesignal.reports import PlanRow, PlansReport, PlanTotals, Risk, Standing

GRACE = timedelta(days=3)
"""A payment this much after its day is overdue."""

_PLANS = f"""
    with paid as (
        select c.purchase_id, bool_or(c.kind = 'instalment') as instalments,
               count(*) filter (where {SALES}) as payments_made,
               coalesce(sum(c.amount_minor) filter (where {SALES}), 0)::bigint as charged_minor,
               coalesce(-sum(c.amount_minor) filter (where not {SALES}), 0)::bigint as refunded_minor,
               (array_agg(c.amount_minor order by c.occurred_at, c.id) filter (where {SALES}))[1] as first_minor,
               (array_agg(c.occurred_at order by c.occurred_at desc, c.id desc) filter (where {SALES}))[1:2] as last_paid,
               coalesce(sum(c.amount_minor) filter (where c.kind in ('dispute', 'dispute_reversal')), 0) < 0 as disputed
        from purchases p join charges c on c.tenant_id = $1 and c.purchase_id = p.id and c.currency = p.currency
        where p.tenant_id = $1 and p.purchased_at >= $2 and p.purchased_at < $3 and p.currency = $4
        group by c.purchase_id
    )
    select p.id, p.platform, p.product, p.email, p.purchased_at, p.cancelled_at, p.plan_payments, p.plan_total_minor,
           p.plan_next_due_at, p.plan_failed_at, b.*
    from paid b join purchases p on p.tenant_id = $1 and p.id = b.purchase_id
    where b.instalments or p.plan_payments > 1 or p.plan_total_minor is not null"""  # noqa: S608 – of constants
NO_PLANS = "No purchase of this period is paid in parts, as far as the platforms say."


async def plans(reading: Reading, limit: int, now: datetime | None = None) -> PlansReport:
    """The ``limit`` plans that need a look first, and totals over all; raises Invalid when asked to convert."""
    if reading.wishes.convert:
        text = "Plans are told in the currency they were agreed in; ask for one currency after the other."
        raise Invalid("Payment plans cannot be converted.", errors=[FieldError("convert", text)])
    period = reading.period
    found = await reading.fetch(_PLANS, reading.tenant.id, period.start_at, period.end_at, reading.currency)
    rows = [plan_row(row, now or datetime.now(UTC)) for row in found]
    rows.sort(key=lambda row: (-(row.at_risk_minor or 0), -(row.outstanding_minor or 0), row.purchased_at, row.id))
    return PlansReport(
        from_=period.first, to=period.last, currency=reading.currency, hint=None if rows else NO_PLANS,
        rows=tuple(rows[:limit]), totals=_totals(rows),
    )  # fmt: skip


def plan_row(row: Mapping[str, Any], now: datetime) -> PlanRow:
    """A plan as it stands at ``now``. Pure."""
    contracted = _contracted(row)
    outstanding = None if contracted is None else max(0, contracted - row["charged_minor"])
    due, estimated = _next_due(row, outstanding)
    risk = _risk(row, outstanding, due, now)
    return PlanRow(
        **{name: row[name] for name in ("id", "platform", "product", "email", "purchased_at", "payments_made",
                                        "charged_minor", "refunded_minor")},
        standing=_standing(outstanding, risk), risk=risk, payments_planned=row["plan_payments"],
        collected_minor=row["charged_minor"] - row["refunded_minor"], contracted_minor=contracted,
        outstanding_minor=outstanding, at_risk_minor=outstanding if risk else None if outstanding is None else 0,
        next_due_at=due, next_due_is_estimated=estimated,
    )  # fmt: skip


def _contracted(row: Mapping[str, Any]) -> int | None:
    if row["plan_total_minor"] is not None:
        return int(row["plan_total_minor"])
    if row["plan_payments"] is None or row["first_minor"] is None:
        return None
    return max(int(row["plan_payments"]) * int(row["first_minor"]), int(row["charged_minor"]))


def _next_due(row: Mapping[str, Any], outstanding: int | None) -> tuple[datetime | None, bool]:
    """When the next payment is due, and whether that is our estimate."""
    last: Sequence[datetime] = row["last_paid"] or ()
    if outstanding == 0:
        return None, False
    if (told := row["plan_next_due_at"]) is not None and (not last or told > last[0]):
        return told, False
    return (last[0] + (last[0] - last[1]), True) if len(last) == 2 else (None, False)


def _risk(row: Mapping[str, Any], outstanding: int | None, due: datetime | None, now: datetime) -> Risk:
    """Why what is outstanding may not come."""
    if outstanding == 0:
        return ""
    last: Sequence[datetime] = row["last_paid"] or ()
    if row["disputed"]:
        return "disputed"
    if row["cancelled_at"] is not None:
        return "cancelled"
    if row["plan_failed_at"] is not None and (not last or row["plan_failed_at"] > last[0]):
        return "payment_failed"
    return "overdue" if due is not None and now > due + GRACE else ""


def _standing(outstanding: int | None, risk: Risk) -> Standing:
    if outstanding == 0:
        return "completed"
    if risk:
        return "at_risk"
    return "unknown" if outstanding is None else "active"


def _totals(rows: Sequence[PlanRow]) -> PlanTotals:
    return PlanTotals(
        plans=len(rows),
        unknown=sum(row.contracted_minor is None for row in rows),
        collected_minor=sum(row.collected_minor for row in rows),
        contracted_minor=sum(row.contracted_minor or 0 for row in rows),
        outstanding_minor=sum(row.outstanding_minor or 0 for row in rows),
        at_risk_minor=sum(row.at_risk_minor or 0 for row in rows),
    )
