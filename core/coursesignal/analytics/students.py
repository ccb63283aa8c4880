"""Who paid in the period, where they first came from, and what they have been worth so far."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal
from uuid import UUID

import msgspec

from coursesignal.analytics.buyers import FIRSTS, MONEY, OF_ORIGIN, ORIGINS
from coursesignal.analytics.figures import per
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.purchases import check_limit
from coursesignal.analytics.reading import Reading
from coursesignal.attribution.paths import CLOSES_AT
from coursesignal.errors import FieldError, Invalid
from coursesignal.reports import FirstTouch, StudentRow, StudentsReport, StudentTotals

Sort = Literal["lastPurchase", "firstPurchase", "lifetimeValue", "purchases"]
Order = Literal["desc", "asc"]

_MICROSECONDS = "(extract(epoch from {at}) * 1000000)::bigint"
_SORTS: dict[Sort, str] = {
    "lastPurchase": _MICROSECONDS.format(at="last_at"),
    "firstPurchase": _MICROSECONDS.format(at="first_at"),
    "lifetimeValue": "(charged - refunded)::bigint",
    "purchases": "purchases",
}
"""One whole number per student each."""

# A purchase is made when it is first paid for, so a renewal is not a purchase made again.
_SPENT = """
    paid as (
        select student, person_id, purchase_id,
               coalesce(sum(amount) filter (where is_sale), 0) as charged,
               coalesce(-sum(amount) filter (where not is_sale), 0) as refunded,
               coalesce(sum(amount) filter (where is_sale and at >= $4 and at < $5), 0) as period_charged,
               coalesce(-sum(amount) filter (where not is_sale and at >= $4 and at < $5), 0) as period_refunded,
               min(at) filter (where is_sale and amount > 0) as bought_at
        from money group by student, person_id, purchase_id
    ),
    spent as materialized (
        select student, person_id, (array_agg(purchase_id order by bought_at, purchase_id))[1] as earliest,
               sum(charged) as charged, sum(refunded) as refunded,
               sum(period_charged) as period_charged, sum(period_refunded) as period_refunded,
               count(bought_at) as purchases, min(bought_at) as first_at, max(bought_at) as last_at
        from paid group by student, person_id having sum(period_charged) > 0
    )"""

_WHOLE = f"""
    with {MONEY}, {_SPENT}
    select count(*) as students, coalesce(sum(charged - refunded), 0) as value,
           coalesce(sum(period_charged), 0) as period_charged, coalesce(sum(period_refunded), 0) as period_refunded
    from spent where $3::text is not null"""  # noqa: S608 – of constants

_WHOLE_OF_SOURCE = f"""
    with {MONEY}, {FIRSTS}, {ORIGINS}, {_SPENT}
    select count(*) as students, coalesce(sum(charged - refunded), 0) as value,
           coalesce(sum(period_charged), 0) as period_charged, coalesce(sum(period_refunded), 0) as period_refunded
    from spent where {OF_ORIGIN.format(column="source", number=6)}"""  # noqa: S608 – of constants

# The touches are only looked up for the students of the page.
_PAGE = """
    with {money}, {origins} {spent},
    page as materialized (
        select spent.*, {value} as value from spent
        where $3::text is not null {narrowed} {after}
        order by value {order}, student {order} limit $6
    )
    select page.*, h.name, coalesce(h.email, l.email) as email, o.source, o.channel, o.campaign,
           ft.at as touched_at, ft.source as touch_source, ft.channel as touch_channel, ft.campaign as touch_campaign
    from page
    left join purchases l on l.tenant_id = $1 and l.id = page.earliest
    left join people h on h.tenant_id = $1 and h.id = page.person_id
    left join lateral (
        select t.source, t.channel, t.campaign
        from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id
        where k.tenant_id = $1 and k.purchase_id = page.earliest and k.model = $3
        order by k.weight desc, t.occurred_at desc, t.id desc limit 1
    ) o on true
    left join lateral (
        select t.occurred_at as at, t.source, t.channel, t.campaign
        from visitors v join touches t on t.tenant_id = $1 and t.visitor_id = v.id
        where v.tenant_id = $1 and v.person_id = page.person_id and t.occurred_at <= {closes_at}
        order by t.occurred_at, t.id limit 1
    ) ft on true
    order by page.value {order}, page.student {order}"""


class _Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last student of a page, and how the page was sorted."""

    sort: str
    order: str
    value: int
    student: UUID


async def students(
    reading: Reading, *, sort: Sort, order: Order, limit: int, cursor: str = "", source: str = ""
) -> StudentsReport:
    """A page of the students who paid in the period; with ``source`` only those whose first purchase the model credits to it."""
    check_limit(limit)
    rows = await _page(reading, sort, order, limit, _place(cursor, sort, order), source)
    whole = await _totals(reading, source)
    return StudentsReport(
        from_=reading.period.first,
        to=reading.period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if whole.students else "Nobody paid in this period. Choose a longer one, or connect your platform.",
        sort=sort,
        items=tuple(_row(row) for row in rows[:limit]),
        totals=whole,
        other_currencies=await other_currencies(reading),
        next_cursor=_next(rows, limit, sort, order),
    )


async def _page(reading: Reading, sort: Sort, order: Order, limit: int, place: _Place | None, source: str) -> list[Any]:
    values: list[object] = [*_about(reading), limit + 1]
    narrowed, after = "", ""
    if source:
        values.append(source)
        narrowed = f"and {OF_ORIGIN.format(column='source', number=len(values))}"
    if place is not None:
        values += [place.value, place.student]
        sign = "<" if order == "desc" else ">"
        after = f"and ({_SORTS[sort]}, student) {sign} (${len(values) - 1}, ${len(values)})"
    sql = _PAGE.format(
        money=MONEY, origins=f"{FIRSTS}, {ORIGINS}, " if source else "", spent=_SPENT, narrowed=narrowed, value=_SORTS[sort],
        after=after, order=order, closes_at=CLOSES_AT.format(purchased_at="page.first_at"),
    )  # fmt: skip
    return await reading.fetch(sql, *values)


async def _totals(reading: Reading, source: str) -> StudentTotals:
    values = (*_about(reading), source) if source else _about(reading)
    row = await reading.fetchrow(_WHOLE_OF_SOURCE if source else _WHOLE, *values)
    return StudentTotals(
        students=row["students"],
        lifetime_value_minor=int(row["value"]),
        average_lifetime_value_minor=per(int(row["value"]), row["students"]),
        period_charged_minor=int(row["period_charged"]),
        period_refunded_minor=int(row["period_refunded"]),
    )


def _about(reading: Reading) -> tuple[object, ...]:
    period = reading.period
    return (reading.tenant.id, reading.currency, reading.model, period.start_at, period.end_at)


def _row(row: Any) -> StudentRow:
    return StudentRow(
        person_id=row["person_id"],
        email=row["email"],
        name=row["name"],
        source=row["source"],
        channel=row["channel"],
        campaign=row["campaign"],
        first_touch=_first_touch(row),
        lifetime_value_minor=int(row["charged"] - row["refunded"]),
        charged_minor=int(row["charged"]),
        refunded_minor=int(row["refunded"]),
        purchases=row["purchases"],
        first_purchase_at=row["first_at"],
        last_purchase_at=row["last_at"],
        period_charged_minor=int(row["period_charged"]),
        period_refunded_minor=int(row["period_refunded"]),
    )


def _first_touch(row: Any) -> FirstTouch | None:
    if row["touched_at"] is None:
        return None
    return FirstTouch(
        at=row["touched_at"], source=row["touch_source"], channel=row["touch_channel"], campaign=row["touch_campaign"]
    )


def _next(rows: list[Any], limit: int, sort: str, order: str) -> str | None:
    if len(rows) <= limit:
        return None
    place = _Place(sort, order, rows[limit - 1]["value"], rows[limit - 1]["student"])
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str, sort: str, order: str) -> _Place | None:
    """Where to go on; raises Invalid for what is no cursor of this list in this order."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=_Place)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _unknown() from error
    if (place.sort, place.order) != (sort, order) or not -(2**63) <= place.value < 2**63:
        raise _unknown()
    return place


def _unknown() -> Invalid:
    wrong = FieldError("cursor", "Use nextCursor of the page before, unchanged, with the same sort and order.")
    return Invalid("This page does not exist.", errors=[wrong])
