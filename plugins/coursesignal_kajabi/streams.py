"""What a sync reads: money from the transactions, and around it who bought what, what was cancelled, what was in a cart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from coursesignal.plugin import Page, PlatformEvent
from coursesignal_kajabi import carts
from coursesignal_kajabi.directory import TRANSACTIONS
from coursesignal_kajabi.reader import Reader
from coursesignal_kajabi.refunds import sales_of
from coursesignal_kajabi.resources import (
    OrderAttributes,
    PurchaseAttributes,
    Resource,
    TransactionAttributes,
    in_utc,
)
from coursesignal_kajabi.translate import BACK, is_plan, money_of, purchase_facts, transaction_event

DAY = timedelta(days=1)


async def transactions(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of money. The filter's time zone is unknown and it may not work at all: ask for a day more and sift here."""
    last = (datetime.now(UTC) + DAY).date().isoformat()
    listing = await reader.list(TRANSACTIONS, cursor, start_date=_day_before(since), end_date=last)
    rows = [row for row in listing.rows if in_utc(row.read(TransactionAttributes).created_at) >= since]
    reader.directory.remember_money(rows)
    money = [row for row in rows if money_of(row) is not None]
    known = await reader.directory.known(reader.api, money)
    sales = await sales_of(reader, money)
    events = [event for row in money for event in transaction_event(row, known, sale=sales.get(row.key))]
    return Page(events=events, cursor=listing.cursor, total=listing.total)


async def purchases(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of purchases that changed: new ones, payments of plans, cancellations."""
    listing = await reader.list("/v1/purchases", cursor, updated_at_gt=_moment(since), sort="-updated_at")
    rows = [row for row in listing.rows if _changed_at(row) >= since]
    return Page(events=await _told(reader, rows, since), cursor=listing.cursor, total=listing.total)


async def cancellations(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of purchases that ended, whether or not that counts as a change."""
    listing = await reader.list("/v1/purchases", cursor, deactivated="true", deactivated_at_gt=_moment(since))
    rows = [row for row in listing.rows if _ended_after(row, since)]
    return Page(events=await _told(reader, rows, since), cursor=listing.cursor, total=listing.total)


async def orders(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of carts: what each of several things in one payment cost. Their money is that of the transactions."""
    listing = await reader.list("/v1/orders", cursor, created_at_gteq=_day_before(since), sort="-created_at")
    rows = [row for row in listing.rows if in_utc(row.read(OrderAttributes).created_at) >= since]
    events = await carts.facts(reader, rows)
    return Page(events=events, cursor=listing.cursor, total=listing.total)


STREAMS: Mapping[str, Callable[[Reader, str | None, datetime], Awaitable[Page]]] = {
    "transactions": transactions,
    "purchases": purchases,
    "cancellations": cancellations,
    "orders": orders,
}
"""Money first: it is what progress is counted in."""


def _day_before(at: datetime) -> str:
    return (at.astimezone(UTC) - DAY).date().isoformat()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _changed_at(row: Resource) -> datetime:
    purchase = row.read(PurchaseAttributes)
    return in_utc(purchase.updated_at or purchase.created_at)


def _ended_after(row: Resource, since: datetime) -> bool:
    ended = row.read(PurchaseAttributes).deactivated_at
    return ended is not None and in_utc(ended) >= since


async def _told(reader: Reader, rows: Sequence[Resource], since: datetime) -> list[PlatformEvent]:
    known = await reader.directory.known(reader.api, rows)
    facts: list[PlatformEvent] = [purchase_facts(row, known, priced=True) for row in rows]
    return facts + await _instalments(reader, [row for row in rows if is_plan(row)], since)


async def _instalments(reader: Reader, plans: Sequence[Resource], since: datetime) -> list[PlatformEvent]:
    """The payments of plans after the first: as transactions they may look like sales or like renewals."""
    keys = {key for plan in plans for key in plan.related("transactions")}
    paid = await reader.directory.find(reader.api, TRANSACTIONS, keys)
    later: list[Resource] = []
    for plan in plans:
        rows = [paid[key] for key in plan.related("transactions") if key in paid]
        charges = sorted((row for row in rows if _is_payment(row)), key=_paid_at)
        later += [row for row in charges[1:] if _paid_at(row)[0] >= since]
    known = await reader.directory.known(reader.api, later)
    return [event for row in later for event in transaction_event(row, known, kind="instalment")]


def _is_payment(row: Resource) -> bool:
    money = money_of(row)
    return money is not None and money.action not in BACK


def _paid_at(row: Resource) -> tuple[datetime, str]:
    return in_utc(row.read(TransactionAttributes).created_at), row.key
