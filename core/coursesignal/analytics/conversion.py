"""Other currencies told in the report's, at the tenant's own rates.

A charge is converted at the rate of its day and rounded to the minor unit, halves away from zero: a refund mirrors its sale.
What a model credits of it is converted cumulatively – the n-th credit is the rounded sum of the first n less that of the first
n - 1 – so the credits of a converted charge still add up to it. A charge without a rate on its day stays in its currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import zip_longest
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from coursesignal.analytics.period import midnight
from coursesignal.analytics.views import Definition
from coursesignal.commerce.rates import Rate, list_all
from coursesignal.currency import EXPONENT

RATES, CONVERTED, SUMS = "at_rates", "at_converted", "at_sums"
"""The steps: rates by time, charges that have one, and the purchases of these."""
_SALES = "('sale', 'renewal', 'instalment')"


@dataclass(frozen=True, slots=True)
class RateInForce:
    """``said`` as instants: from ``from_at`` until before ``until_at``."""

    said: Rate
    from_at: datetime
    until_at: datetime

    @property
    def factor(self) -> Decimal:
        """Between minor units."""
        of, into = EXPONENT.get(self.said.currency, 2), EXPONENT.get(self.said.base, 2)
        return Decimal(repr(self.said.rate)).scaleb(into - of)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Everything that has a rate, into ``currency``."""

    currency: str
    rates: Sequence[RateInForce]

    def steps(self, tenant_id: UUID) -> dict[str, Definition]:
        """The charges that are converted, with the factor between minor units, and the sums of their purchases."""
        return {
            RATES: Definition(
                "select * from unnest($1::text[], $2::numeric[], $3::timestamptz[], $4::timestamptz[]) "
                "as r (currency, factor, from_at, until_at)",
                (
                    [rate.said.currency for rate in self.rates], [rate.factor for rate in self.rates],
                    [rate.from_at for rate in self.rates], [rate.until_at for rate in self.rates],
                ),
                kept=True,
            ),
            CONVERTED: Definition(
                f"select c.id, c.purchase_id, r.factor, round(c.amount_minor * r.factor)::bigint as amount_minor "  # noqa: S608 – of constants
                f"from public.charges c join {RATES} r on r.currency = c.currency "
                f"and c.occurred_at >= r.from_at and c.occurred_at < r.until_at where c.tenant_id = '{tenant_id}'",
                kept=True,
            ),
            SUMS: Definition(
                f"select c.purchase_id, bool_and(k.id is not null or c.currency = $1) as whole, "  # noqa: S608 – of constants
                f"coalesce(sum(coalesce(k.amount_minor, c.amount_minor)) filter (where c.kind in {_SALES}), 0)::bigint "
                f"as charged, "
                f"coalesce(-sum(coalesce(k.amount_minor, c.amount_minor)) filter (where c.kind not in {_SALES}), 0)::bigint "
                f"as refunded from public.charges c left join {CONVERTED} k on k.id = c.id "
                f"where c.tenant_id = '{tenant_id}' and c.purchase_id in (select purchase_id from {CONVERTED}) "
                "group by c.purchase_id",
                (self.currency,),
                kept=True,
            ),
        }  # fmt: skip

    @property
    def of_charges(self) -> dict[str, str]:
        """The columns of ``charges x`` that change, after JOIN_CHARGES."""
        return {
            "amount_minor": "coalesce(k.amount_minor, x.amount_minor)",
            "currency": f"case when k.id is null then x.currency else '{self.currency}' end",
        }

    @property
    def of_credits(self) -> dict[str, str]:
        """The columns of ``credits x`` that change, after JOIN_CREDITS."""
        summed = "sum(x.amount_minor) over (partition by x.charge_id, x.model order by x.touch_id)"
        return {
            "amount_minor": "case when k.id is null then x.amount_minor else "
            f"(round({summed} * k.factor) - round(({summed} - x.amount_minor) * k.factor))::bigint end"
        }

    @property
    def of_purchases(self) -> dict[str, str]:
        """The columns of ``purchases x`` that change, after JOIN_PURCHASES: only where all of its money has a rate."""
        return {
            "currency": f"case when k.whole then '{self.currency}' else x.currency end",
            "charged_minor": "case when k.whole then k.charged else x.charged_minor end",
            "refunded_minor": "case when k.whole then k.refunded else x.refunded_minor end",
        }


async def conversion_into(conn: asyncpg.Connection, tenant_id: UUID, currency: str, zone: ZoneInfo) -> Conversion:
    """The tenant's rates into ``currency``; its days are those of ``zone``."""
    said = await list_all(conn, tenant_id, currency)
    ends = [
        midnight(after.valid_from, zone) if after and after.currency == rate.currency else _END
        for rate, after in zip_longest(said, said[1:])
    ]
    return Conversion(
        currency,
        [RateInForce(rate, midnight(rate.valid_from, zone), end) for rate, end in zip(said, ends, strict=True)],
    )


_END = datetime(9999, 1, 1, tzinfo=UTC)
USED = f"""
    select distinct r.currency, r.from_at
    from charges x join public.charges c on c.tenant_id = $1 and c.id = x.id
    join {RATES} r on r.currency = c.currency and c.occurred_at >= r.from_at and c.occurred_at < r.until_at
    where x.tenant_id = $1 and x.occurred_at >= $2 and x.occurred_at < $3"""  # noqa: S608 – of constants
"""The rates by which charges of a period were converted."""
UNUSED = """
    select distinct currency from charges
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and currency <> $4 order by currency"""
"""The currencies that stay."""
JOIN_CHARGES = f"left join {CONVERTED} k on k.id = x.id"
JOIN_CREDITS = f"left join {CONVERTED} k on k.id = x.charge_id"
JOIN_PURCHASES = f"left join {SUMS} k on k.purchase_id = x.id"
