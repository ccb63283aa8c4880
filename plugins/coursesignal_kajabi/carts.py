"""Carts: a sale and its order bumps are one order and one charge, and the order says what each thing cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from coursesignal.plugin import PlatformEvent, PurchaseFacts
from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.directory import TRANSACTIONS
from coursesignal_kajabi.resources import OrderAttributes, Resource, TransactionAttributes, in_utc
from coursesignal_kajabi.translate import BACK, money_of, order_items

TOGETHER = timedelta(hours=1)
"""An order and its payment are made within this time."""


async def facts(api: KajabiApi, site: str, orders: Sequence[Resource], page_size: int) -> list[PlatformEvent]:
    """What was in each order of several things. One whose payment cannot be told is left out: its purchases name the offers."""
    several = [order for order in orders if len(order.related("order_items")) > 1]
    lines = await api.look_up("/v1/order_items", (key for order in several for key in order.related("order_items")))
    paid = await _payments(api, site, several, page_size)
    return [_fact(order, paid[order.key], lines) for order in several if paid[order.key]]


def _fact(order: Resource, payments: Sequence[str], lines: Mapping[str, Resource]) -> PlatformEvent:
    keys = [f"order:{order.key}", *(f"transaction:{key}" for key in payments)]
    items = order_items([lines[key] for key in order.related("order_items") if key in lines])
    at = in_utc(order.read(OrderAttributes).created_at)
    return PurchaseFacts(purchase_keys=tuple(keys), occurred_at=at, items=items)


async def _payments(
    api: KajabiApi, site: str, orders: Sequence[Resource], page_size: int
) -> Mapping[str, Sequence[str]]:
    """The transactions of each order: those it names, else the buyer's one of that amount at that time."""
    found: dict[str, Sequence[str]] = defaultdict(tuple)
    for order in orders:
        found[order.key] = order.related("payment_transactions") or await _by_amount(api, site, order, page_size)
    return found


async def _by_amount(api: KajabiApi, site: str, order: Resource, page_size: int) -> Sequence[str]:
    matching = [
        row.key
        for buyer in order.related("customer")
        async for row in api.rows(TRANSACTIONS, {**_site(site), "filter[customer_id]": buyer}, page_size)
        if buyer in row.related("customer") and _pays(row, order)
    ]
    return matching if len(matching) == 1 else ()


def _site(site: str) -> Mapping[str, str]:
    return {"filter[site_id]": site} if site else {}


def _pays(row: Resource, order: Resource) -> bool:
    money, cart = money_of(row), order.read(OrderAttributes)
    if money is None or money.action in BACK or money.amount_in_cents != cart.total_price_in_cents:
        return False
    apart = in_utc(row.read(TransactionAttributes).created_at) - in_utc(cart.created_at)
    return abs(apart) <= TOGETHER
