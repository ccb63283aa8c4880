"""Which sale a refund or dispute takes back, where its row does not name the purchase (before June 2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from coursesignal_kajabi.reader import Reader
from coursesignal_kajabi.resources import Resource, TransactionAttributes, in_utc
from coursesignal_kajabi.translate import BACK, money_of


async def sales_of(reader: Reader, rows: Sequence[Resource]) -> Mapping[str, Resource]:
    """The sale behind each of ``rows`` that takes money back and names no purchase, by the row's id, where there is one.

    Kajabi links the two by nothing but the buyer, so all of the buyer's transactions are asked for.
    """
    open_rows = [row for row in rows if _takes_back(row) and not row.related("purchases", "purchase")]
    buyers = {buyer for row in open_rows for buyer in row.related("customer")}
    history = {buyer: await reader.money_of_buyer(buyer) for buyer in sorted(buyers)}
    found = {row.key: sale_of(row, history[buyer]) for row in open_rows for buyer in row.related("customer")}
    return {key: sale for key, sale in found.items() if sale is not None}


def sale_of(refund: Resource, history: Sequence[Resource]) -> Resource | None:
    """The buyer's last payment before ``refund`` that can be it: of the same offer and currency, as much at least.

    One of exactly that amount is meant rather than a larger one.
    """
    back = refund.read(TransactionAttributes)
    fitting: list[tuple[bool, datetime, str, Resource]] = []
    for row in history:
        money = money_of(row)
        if money is None or money.action in BACK or in_utc(money.created_at) > in_utc(back.created_at):
            continue
        fits = money.currency == back.currency and abs(money.amount_in_cents) >= abs(back.amount_in_cents)
        if fits and _same_offer(refund, row):
            exact = abs(money.amount_in_cents) == abs(back.amount_in_cents)
            fitting.append((exact, in_utc(money.created_at), row.key, row))
    return max(fitting, key=lambda one: one[:3])[3] if fitting else None


def _same_offer(refund: Resource, row: Resource) -> bool:
    """A row without offer (one charge for several) may be of any."""
    ours, theirs = refund.related("offer", "offers"), row.related("offer", "offers")
    return not ours or not theirs or bool({*ours} & {*theirs})


def _takes_back(row: Resource) -> bool:
    money = money_of(row)
    return money is not None and money.action in BACK
