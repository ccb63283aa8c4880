"""Purchases as lines of a list, newest first."""

from __future__ import annotations

from typing import Any

from coursesignal.analytics.reading import Reading
from coursesignal.errors import FieldError, Invalid
from coursesignal.reports import PurchaseLine, RecentPurchases
from coursesignal.web.cursors import Place, decode_cursor, encode_cursor

MAX_LIMIT = 200

LINE_COLUMNS = """
    p.id, p.platform, p.charged_minor, p.refunded_minor, p.currency, p.product, p.email, p.purchased_at, p.match,
    p.cancelled_at, top.source, top.channel"""
"""What :func:`line_fields` reads, from ``purchases p`` and TOP_TOUCH."""

TOP_TOUCH = """
    left join lateral (
        select t.source, t.channel
        from credits k join touches t on t.tenant_id = k.tenant_id and t.id = k.touch_id
        where k.tenant_id = p.tenant_id and k.purchase_id = p.id and k.model = $2
        order by k.weight desc, t.occurred_at desc, t.id desc limit 1
    ) top on true"""
"""The touch with the most credit of ``p`` under model $2; the latest of equals."""

# A purchase of which only facts but no money is known is not one yet.
_LISTED = """
    select * from purchases
    where tenant_id = $1 and (charged_minor > 0 or refunded_minor > 0) and $2::text is not null {where}
    order by purchased_at desc, id desc limit $3"""
_RECENT = f"""
    select {{columns}}
    from ({_LISTED}) p {{top}}
    order by p.purchased_at desc, p.id desc"""  # noqa: S608 – of constants


async def recent(reading: Reading, *, limit: int, cursor: str = "") -> RecentPurchases:
    """A page of the purchases made in the reading's period; "all" is every purchase there is. At most MAX_LIMIT."""
    check_limit(limit)
    return await page(reading, limit=limit, cursor=cursor)


async def page(reading: Reading, *, limit: int, cursor: str = "") -> RecentPurchases:
    """The same, however long."""
    values: list[object] = [reading.tenant.id, reading.model, limit + 1]
    where = ""
    if reading.period.comparable:
        where += " and purchased_at >= $4 and purchased_at < $5"
        values += [reading.period.start_at, reading.period.end_at]
    if place := decode_cursor(cursor):
        where += f" and (purchased_at, id) < (${len(values) + 1}, ${len(values) + 2})"
        values += [place.at, place.id]
    listed = (
        [row["id"] for row in await reading.fetch(_LISTED.format(where=where), *values)] if reading.window else None
    )
    sql = _RECENT.format(columns=LINE_COLUMNS, where=where, top=TOP_TOUCH)
    rows = await reading.fetch(sql, *values, credits_of=listed)
    items = tuple(PurchaseLine(**line_fields(row)) for row in rows[:limit])
    return RecentPurchases(items=items, next_cursor=next_cursor(rows, limit))


def line_fields(row: Any) -> dict[str, Any]:
    """The fields of PurchaseLine from a row with LINE_COLUMNS."""
    return {
        "id": row["id"],
        "platform": row["platform"],
        "amount_minor": row["charged_minor"],
        "refunded_minor": row["refunded_minor"],
        "currency": row["currency"],
        "product": row["product"],
        "email": row["email"],
        "source": row["source"],
        "channel": row["channel"],
        "purchased_at": row["purchased_at"],
        "status": _status(row),
        "matched": row["match"] != "unmatched",
        "match": row["match"],
    }


def next_cursor(rows: list[Any], limit: int) -> str | None:
    """The cursor of the page after ``rows``, of which one more than ``limit`` was asked for."""
    if len(rows) <= limit:
        return None
    return encode_cursor(Place(rows[limit - 1]["purchased_at"], rows[limit - 1]["id"]))


def check_limit(limit: int) -> None:
    """Raise Invalid outside 1 to MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(
            "This page is too small or too large.", errors=[FieldError("limit", f"Must be 1 to {MAX_LIMIT}.")]
        )


def _status(row: Any) -> str:
    if row["refunded_minor"] > 0:
        return "refunded" if row["refunded_minor"] >= row["charged_minor"] else "partially_refunded"
    return "cancelled" if row["cancelled_at"] is not None else "paid"
