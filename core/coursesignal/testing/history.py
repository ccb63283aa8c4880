"""A tenant's history written straight into its tables: visits, buyers, purchases, and credits by core's own models.

For tests of what reads reports. What tests the way in (tracking, webhooks) goes through the front door instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from coursesignal.db import stale
from coursesignal.db.ids import uuid7

if TYPE_CHECKING:
    from coursesignal.testing.fixtures import ActingTenant

BATCH = 1000


@dataclass
class History:
    """Add to a tenant's past; :meth:`credit` at the end makes the credits."""

    tenant: ActingTenant
    visitors: dict[str, UUID] = field(default_factory=dict)
    people: dict[str, UUID] = field(default_factory=dict)
    connections: dict[str, UUID] = field(default_factory=dict)
    purchases: list[UUID] = field(default_factory=list)

    async def visit(
        self, visitor: str, at: datetime, source: str, *, channel: str = "Referral", medium: str = "", campaign: str = "",
        content: str = "", direct: bool = False, email: str | None = None, landing_url: str = "https://example.com/",
        referrer: str = "", opt_in: bool = False,
    ) -> UUID:  # fmt: skip
        """A session with one touch; with ``email`` the visitor is that person's from then on. Returns the touch's id."""
        async with self.tenant.transaction() as conn:
            visitor_id = await self._visitor(conn, visitor, at)
            if email is not None:
                person_id = await self._person(conn, email, at)
                await conn.execute(
                    "update visitors set person_id = $3 where tenant_id = $1 and id = $2",
                    self.tenant.id, visitor_id, person_id,
                )  # fmt: skip
            session_id = await conn.fetchval(
                "insert into sessions (tenant_id, visitor_id, site_id, started_at, ended_at, pageviews, events) "
                "values ($1, $2, $3, $4, $5, 1, 1) returning id",
                self.tenant.id, visitor_id, self.tenant.site_id, at, at + timedelta(minutes=5),
            )  # fmt: skip
            touch_id: UUID = await conn.fetchval(
                "insert into touches (tenant_id, visitor_id, session_id, event_id, occurred_at, channel, source, medium, "
                "campaign, content, landing_url, landing_path, referrer, is_direct, is_opt_in) "
                "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) returning id",
                self.tenant.id, visitor_id, session_id, uuid4(), at, channel, source, medium, campaign, content,
                landing_url, urlsplit(landing_url).path, referrer, direct, opt_in,
            )  # fmt: skip
            await stale.mark(conn, self.tenant.id, "visits", [at])
        return touch_id

    async def sale(
        self, email: str | None, amount_minor: int, at: datetime, *, currency: str = "USD", product: str = "Course",
        platform: str = "teachable",
    ) -> UUID:  # fmt: skip
        """A purchase with its first charge; without ``email`` nobody is known to have made it. Returns its id."""
        async with self.tenant.transaction() as conn:
            person_id = await self._person(conn, email, at) if email is not None else None
            purchase_id: UUID = await conn.fetchval(
                "insert into purchases (tenant_id, platform, connection_id, person_id, currency, purchased_at, product, email, "
                "match) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
                self.tenant.id, platform, await self._connection(conn, platform), person_id, currency, at, product, email,
                "email" if person_id else "unmatched",
            )  # fmt: skip
        self.purchases.append(purchase_id)
        await self.charge(purchase_id, "sale", amount_minor, at, currency=currency)
        return purchase_id

    async def charge(
        self, purchase_id: UUID, kind: str, amount_minor: int, at: datetime, *, currency: str = "USD"
    ) -> UUID:
        """Money that moved; ``amount_minor`` ≥ 0, signed by its kind."""
        back = kind in {"refund", "dispute"}
        async with self.tenant.transaction() as conn:
            charge_id: UUID = await conn.fetchval(
                "insert into charges (tenant_id, purchase_id, connection_id, external_id, kind, amount_minor, currency, "
                "occurred_at) select $1, id, connection_id, $3, $4, $5, $6, $7 from purchases where tenant_id = $1 and id = $2 "
                "returning id",
                self.tenant.id, purchase_id, str(uuid4()), kind, -amount_minor if back else amount_minor, currency, at,
            )  # fmt: skip
            await conn.execute(
                "update purchases set charged_minor = charged_minor + $3, refunded_minor = refunded_minor + $4, "
                "paid_charges = paid_charges + $5 where tenant_id = $1 and id = $2",
                self.tenant.id, purchase_id, 0 if back else amount_minor, amount_minor if back else 0, 0 if back else 1,
            )  # fmt: skip
            await stale.mark(conn, self.tenant.id, "money", [at])
        return charge_id

    async def credit(self, purchases: Sequence[UUID] = ()) -> None:
        """Credit these purchases, by default all of this history, under every model of the installation."""
        from coursesignal.attribution.service import credit

        wanted = list(purchases or self.purchases)
        for start in range(0, len(wanted), BATCH):
            async with self.tenant.transaction() as conn:
                await credit(conn, self.tenant.id, wanted[start : start + BATCH], self.tenant.runtime.registry.models)

    async def _visitor(self, conn: Any, name: str, at: datetime) -> UUID:
        if name not in self.visitors:
            self.visitors[name] = await conn.fetchval(
                "insert into visitors (tenant_id, id, first_seen_at, last_seen_at, events) "
                "values ($1, $2, $3, $3, 1) returning id",
                self.tenant.id, uuid4(), at,
            )  # fmt: skip
        return self.visitors[name]

    async def _person(self, conn: Any, email: str, at: datetime) -> UUID:
        if email not in self.people:
            self.people[email] = await conn.fetchval(
                "insert into people (tenant_id, email, name, first_seen_at) values ($1, $2, 'Invented Person', $3) returning id",
                self.tenant.id, email, at,
            )  # fmt: skip
            await conn.execute(
                "insert into person_identifiers (tenant_id, person_id, kind, value_key, evidence, first_seen_at) "
                "values ($1, $2, 'email', $3, 'identify', $4)",
                self.tenant.id, self.people[email], email, at,
            )  # fmt: skip
        return self.people[email]

    async def _connection(self, conn: Any, platform: str) -> UUID:
        from coursesignal.connections.vault import new_webhook_key

        if platform not in self.connections:
            self.connections[platform] = connection_id = uuid7()
            key = new_webhook_key(self.tenant.runtime.keys.box, self.tenant.id, connection_id)
            await conn.execute(
                "insert into connections (tenant_id, id, platform, key_hash, sealed_key, account_id, account_name, state) "
                "values ($1, $2, $3, $4, $5, $6, 'Example School', 'ready')",
                self.tenant.id, connection_id, platform, key.hash, key.sealed, str(uuid4()),
            )  # fmt: skip
        return self.connections[platform]
