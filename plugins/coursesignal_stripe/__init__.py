"""Payments, subscriptions, refunds and disputes from Stripe, with the visitor that came along to checkout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Connector, Routes, hookimpl
from coursesignal_stripe.connector import StripeConnector
from coursesignal_stripe.links import PUBLIC


@hookimpl
def register_connectors() -> Sequence[Connector[Any]]:
    """Offer Stripe as a platform."""
    return [StripeConnector()]


@hookimpl
def register_routes() -> Sequence[Routes]:
    """Serve the script that takes visitors along into payment links."""
    return [PUBLIC]
