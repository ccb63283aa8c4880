"""Carts: a sale and its order bumps are one order and one charge, and the order says what each thing cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from coursesignal.plugin import PlatformEvent, PurchaseFacts
from coursesignal_kajabi.directory import ORDER_ITEMS
from coursesignal_kajabi.reader import Reader
from coursesignal_kajabi.resources import OrderAttributes, Resource, TransactionAttributes, in_utc
from coursesignal_kajabi.translate import BACK, money_of, order_items

TOGETHER = timedelta(hours=1)
"""An order and its payment are made within this time."""


async def facts(reader: Reader, orders: Sequence[Resource]) -> list[PlatformEvent]:
    """What was in each order of several things. One whose payment cannot be told is left out: its purchases name the offers."""
    several = [order for order in orders if len(order.related("order_items")) > 1]
    keys = {key for order in several for key in order.related("order_items")}
    lines = await reader.directory.find(reader.api, ORDER_ITEMS, keys)
    paid = {order.key: await _payments(reader, order) for order in several}
    return [_fact(order, paid[order.key], lines) for order in several if paid[order.key]]


def _fact(order: Resource, payments: Sequence[str], lines: Mapping[str, Resource]) -> PlatformEvent:
    keys = [f"order:{order.key}", *(f"transaction:{key}" for key in payments)]
    items = order_items([lines[key] for key in order.related("order_items") if key in lines])
    at = in_utc(order.read(OrderAttributes).created_at)
    return PurchaseFacts(purchase_keys=tuple(keys), occurred_at=at, items=items)


async def _payments(reader: Reader, order: Resource) -> Sequence[str]:
    """The transactions of an order: those it names, else the buyer's one of that amount at that time."""
    named = order.related("payment_transactions")
    if named:
        return named
    for buyer in order.related("customer"):
        seen = [row.key for row in reader.directory.paid_by(buyer) if _pays(row, order)]
        found = seen or [row.key for row in await reader.money_of_buyer(buyer) if _pays(row, order)]
        if len(found) == 1:
            return found
    return ()


def _pays(row: Resource, order: Resource) -> bool:
    money, cart = money_of(row), order.read(OrderAttributes)
    if money is None or money.action in BACK or money.amount_in_cents != cart.total_price_in_cents:
        return False
    apart = in_utc(row.read(TransactionAttributes).created_at) - in_utc(cart.created_at)
    return abs(apart) <= TOGETHER
