"""Kajabi's two unrelated webhook systems: the public API's hooks and the ones made in the UI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from coursesignal.plugin import PlatformEvent
from coursesignal_kajabi.resources import Resource, of_type
from coursesignal_kajabi.translate import Known, order_items, purchase_facts, transaction_event
from coursesignal_kajabi.ui import payment_succeeded, purchase_created


class Envelope(msgspec.Struct, frozen=True):
    """What both systems share. The API's ``id`` is of unknown meaning and is not used."""

    event: str


def parse(body: bytes, received_at: datetime) -> Sequence[PlatformEvent]:
    """What a webhook tells; nothing for events that are not about purchases.

    Raises msgspec.ValidationError or ValueError for a body that cannot be read.
    """
    event = msgspec.json.decode(body, type=Envelope).event
    if event in API_EVENTS:
        return API_EVENTS[event](_payload(body))
    if event in UI_EVENTS:
        return UI_EVENTS[event](body, received_at)
    return []


def is_of_ui(body: bytes) -> bool:
    """Whether a webhook was made in Kajabi's settings and not through its API; a body that cannot be read is not."""
    try:
        return msgspec.json.decode(body, type=Envelope).event in UI_EVENTS
    except (ValueError, RecursionError):
        return False


class _Hook(msgspec.Struct, frozen=True):
    payload: list[Resource]


def _payload(body: bytes) -> list[Resource]:
    return msgspec.json.decode(body, type=_Hook).payload


def _known(payload: Sequence[Resource]) -> Known:
    customers, offers = of_type(payload, "customers"), of_type(payload, "offers")
    return Known({row.key: row for row in customers}, {row.key: row for row in offers})


def _purchase(payload: Sequence[Resource]) -> Sequence[PlatformEvent]:
    return [purchase_facts(row, _known(payload)) for row in of_type(payload, "purchases")]


def _payment_succeeded(payload: Sequence[Resource]) -> Sequence[PlatformEvent]:
    known = _known(payload)
    return [event for row in of_type(payload, "transactions") for event in transaction_event(row, known)]


def _order_created(payload: Sequence[Resource]) -> Sequence[PlatformEvent]:
    """The order's money is its transactions'; the order itself only names them and what was bought."""
    keys = [f"order:{row.key}" for row in of_type(payload, "orders")]
    items, known = order_items(of_type(payload, "order_items")), _known(payload)
    return [
        event
        for row in of_type(payload, "transactions")
        for event in transaction_event(row, known, extra_keys=keys, items=items)
    ]


API_EVENTS: Mapping[str, Callable[[list[Resource]], Sequence[PlatformEvent]]] = {
    "purchase": _purchase,
    "payment_succeeded": _payment_succeeded,
    "order_created": _order_created,
}
UI_EVENTS: Mapping[str, Callable[[bytes, datetime], Sequence[PlatformEvent]]] = {
    "purchase.created": purchase_created,
    "payment.succeeded": payment_succeeded,
}
"""``order.created`` is left out: it carries no transaction id, so its money could not be told from ``payment.succeeded``'s."""
