"""Purchases, renewals, refunds and disputes from Kajabi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Connector, hookimpl
from coursesignal_kajabi.connector import KajabiConnector


@hookimpl
def register_connectors() -> Sequence[Connector[Any]]:
    """Offer Kajabi as a platform."""
    return [KajabiConnector()]
