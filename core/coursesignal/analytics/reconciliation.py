"""Do the credits add up to the money? Counted three times over, from the charges, from the credits and from what has none."""

from __future__ import annotations

from typing import Any

from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import Reconciliation, ReconciliationRow

# Money by the connection it came in through; credits by the platform of the purchase they were given for.
_MONEY = """
    select c.currency, n.platform,
           coalesce(sum(c.amount_minor) filter (where c.kind in ('sale', 'renewal', 'instalment')), 0) as charges,
           coalesce(-sum(c.amount_minor) filter (where c.kind not in ('sale', 'renewal', 'instalment')), 0) as refunds,
           coalesce(sum(c.amount_minor) filter (where not exists (
               select from credits k where k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
           )), 0) as unattributed
    from charges c
    join connections n on n.tenant_id = c.tenant_id and n.id = c.connection_id
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
    group by c.currency, n.platform"""

_CREDITED = """
    select c.currency, p.platform, sum(k.amount_minor) as credited
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
    join purchases p on p.tenant_id = $1 and p.id = k.purchase_id
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
    group by c.currency, p.platform"""


async def reconcile(reading: Reading) -> Reconciliation:
    """The period's money by currency and platform, and where it went under the reading's model."""
    period = reading.period
    values = (reading.tenant.id, period.start_at, period.end_at, reading.model)
    found = await reading.fetch(_MONEY, *values, credits_of=period)
    money = {(row["currency"], row["platform"]): row for row in found}
    found = await reading.fetch(_CREDITED, *values, credits_of=period)
    credited = {(row["currency"], row["platform"]): int(row["credited"]) for row in found}
    rows = tuple(_row(key, money.get(key), credited.get(key, 0)) for key in sorted(money.keys() | credited.keys()))
    return Reconciliation(
        from_=reading.period.first,
        to=reading.period.last,
        model=reading.model,
        balanced=all(row.difference_minor == 0 for row in rows),
        rows=rows,
    )


def _row(key: tuple[str, str], money: Any, credited: int) -> ReconciliationRow:
    charges, refunds, unattributed = (
        int(money[name]) if money else 0 for name in ("charges", "refunds", "unattributed")
    )
    return ReconciliationRow(
        currency=key[0],
        platform=key[1],
        charges_minor=charges,
        refunds_minor=refunds,
        credited_minor=credited,
        unattributed_minor=unattributed,
        difference_minor=charges - refunds - credited - unattributed,
    )
