"""Minor units as decimal amounts, by ISO 4217."""

from __future__ import annotations

_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""Every active currency of ISO 4217 (list one) whose minor unit is not a hundredth."""

EXPONENT = {code: exponent for exponent, codes in _EXPONENTS.items() for code in codes.split()}


def decimal_amount(amount_minor: int, currency: str) -> str:
    """``amount_minor`` with a decimal point and no grouping: 1234 USD is "12.34", 1234 JPY "1234", -5 BHD "-0.005"."""
    exponent = EXPONENT.get(currency, 2)
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"
