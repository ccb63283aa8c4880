"""Stripe's smallest currency units as minor units of ISO 4217. Pure.

They are the same but for three currencies, after "Zero-decimal currencies" and "Special cases" on docs.stripe.com/currencies: MGA
is told in whole ariary, ISK and UGX in hundredths that are always 00. JPY and the like have no decimals on either side; BHD, JOD,
KWD, OMR and TND have three on both.
"""

from __future__ import annotations

from collections.abc import Mapping

TIMES: Mapping[str, int] = {"MGA": 100}
"""ISO minor units in one of Stripe's units."""
OVER: Mapping[str, int] = {"ISK": 100, "UGX": 100}
"""Stripe's units in one ISO minor unit."""


def currency_of(text: str | None) -> str:
    """An ISO 4217 code from Stripe's lower-case one; raises ValueError for anything else."""
    code = (text or "").strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{text!r} is no currency")
    return code


def minor(amount: int, currency: str) -> int:
    """``amount`` of Stripe's units in minor units of ``currency`` (upper case); halves of a króna are rounded to even."""
    return (
        round(amount * TIMES.get(currency, 1) / OVER[currency]) if currency in OVER else amount * TIMES.get(currency, 1)
    )
