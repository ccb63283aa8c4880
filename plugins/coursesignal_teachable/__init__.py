"""Purchases, renewals, refunds and chargebacks from Teachable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Connector, hookimpl
from coursesignal_teachable.connector import TeachableConnector


@hookimpl
def register_connectors() -> Sequence[Connector[Any]]:
    """Offer Teachable as a platform."""
    return [TeachableConnector()]
