"""Stripe's webhook signature, scheme v1: HMAC-SHA256 over the time, a dot and the raw body. Pure.

The steps are those of Stripe's own library (stripe-python, ``stripe/_webhook.py``), but for one: it lets a time to come pass,
here that is refused like one long gone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from coursesignal.plugin import WebhookRejected

SCHEME = "v1"
MOST_ITEMS = 100
"""Parts of a header that are looked at; Stripe sends a handful."""


def verify(body: bytes, header: str | None, secrets: Sequence[str], now_s: float, tolerance_s: int) -> None:
    """Raise WebhookRejected unless one of ``secrets`` signed ``body`` within ``tolerance_s`` of ``now_s``."""
    if header is None:
        raise WebhookRejected("The Stripe-Signature header is missing.")
    if not secrets:
        raise WebhookRejected("No signing secret is stored: connect again with the one of the webhook endpoint.")
    signed_at, signatures = read_header(header)
    expected = [signature(body, signed_at, secret).encode() for secret in secrets]
    matches = [hmac.compare_digest(one, given) for given in signatures for one in expected]
    if not any(matches):
        raise WebhookRejected("No signature is that of a signing secret we know.")
    if abs(now_s - signed_at) > tolerance_s:
        raise WebhookRejected("The signature's time is too far from now: the webhook is a replay, or a clock is wrong.")


def read_header(header: str) -> tuple[int, Sequence[bytes]]:
    """The time and every v1 signature in a header; other schemes are passed over. Raises WebhookRejected."""
    items = [item.strip().partition("=") for item in header.split(",", MOST_ITEMS)[:MOST_ITEMS]]
    times = [value for name, _, value in items if name == "t"]
    signatures = [value.encode() for name, _, value in items if name == SCHEME]
    if not times or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        raise WebhookRejected("The Stripe-Signature header tells no time.")
    if not signatures:
        raise WebhookRejected(f"The Stripe-Signature header has no signature of scheme {SCHEME}.")
    return int(times[0]), signatures


def signature(body: bytes, signed_at: int, secret: str) -> str:
    """The signature of ``body`` in lower-case hex; the key is the whole secret, ``whsec_`` included."""
    return hmac.new(secret.encode(), b"%d." % signed_at + body, hashlib.sha256).hexdigest()
