"""What is worth a mail, and to whom."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from coursesignal.events import ConnectionLost, PurchaseRecorded
from coursesignal.plugin import Context, decimal_amount
from coursesignal_email.settings import EmailSettings

NEWS_FOR = timedelta(days=7)
"""A sale that is older, such as one of a first sync, is history."""

# Only addresses that their owner has confirmed; a tenant without owners of its own is run by its agency's.
OWNERS = """
    select distinct u.email, m.tenant_id is not null as own
    from memberships m join users u on u.id = m.user_id
    where m.role = 'owner' and u.verified_at is not null and (
        m.tenant_id = $1 or m.agency_id = (select t.agency_id from tenants t where t.id = $1)
    )
    order by u.email
"""
PROBLEM = "select problem from connections where tenant_id = $1 and id = $2 and state = 'needs_reauth'"


async def first_sale(ctx: Context[EmailSettings], event: PurchaseRecorded) -> None:
    """Tell the owners once, about the first recent sale whose source is known."""
    if not ctx.settings.first_sale or datetime.now(UTC) - event.occurred_at > NEWS_FOR:
        return
    sale = await ctx.reports.purchase(event.purchase_id)
    if sale.source is None or datetime.now(UTC) - sale.purchased_at > NEWS_FOR:
        return
    amount = f"{decimal_amount(sale.amount_minor, sale.currency)} {sale.currency}"
    for owner in await owners(ctx):
        await ctx.send_email(
            "first_sale", owner, key=_whom(owner), product=sale.product, amount=amount, source=sale.source,
            channel=sale.channel, platform=sale.platform.title(),
        )  # fmt: skip


async def lost_connection(ctx: Context[EmailSettings], event: ConnectionLost) -> None:
    """Tell the owners, at most once a day and connection; not when one of them disconnected it, nor when it stands again."""
    if not ctx.settings.connection_lost:
        return
    async with ctx.db.transaction() as conn:
        still_lost = await conn.fetchrow(PROBLEM, ctx.tenant.id, event.connection_id)
    if still_lost is None:
        return
    for owner in await owners(ctx):
        key = f"{event.connection_id}:{event.occurred_at:%Y-%m-%d}:{_whom(owner)}"
        await ctx.send_email("connection_lost", owner, key=key, platform=event.platform.title(), reason=event.reason)


async def owners(ctx: Context[EmailSettings]) -> Sequence[str]:
    """Addresses of the tenant's owners, else of its agency's."""
    async with ctx.db.transaction() as conn:
        rows = await conn.fetch(OWNERS, ctx.tenant.id)
    own = [row["email"] for row in rows if row["own"]]
    return own or [row["email"] for row in rows]


def _whom(address: str) -> str:
    """The recipient in a key: the same on every attempt, and not the address itself."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]
