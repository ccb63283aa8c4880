"""A shop for tests of who is who: visits over HTTP, sales as its platform tells them, people and reports over the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from coursesignal.connections.intake import apply
from coursesignal.plugin import Charge, Contact, PurchaseFacts

if TYPE_CHECKING:
    import httpx

    from coursesignal.testing.fixtures import ActingTenant

AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=9)


class Shop:
    """A tenant with one connected school, its visitors and buyers."""

    def __init__(
        self, client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Callable[[], Awaitable[None]]
    ) -> None:
        self.client, self.tenant, self.run_jobs = client, tenant, run_jobs
        self.connection = UUID(int=0)

    async def open(self) -> None:
        async with self.tenant.transaction() as conn:
            self.connection = await conn.fetchval(
                "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
                "values ($1, 'teachable', 'k', ''::bytea, 'school', 'ready') returning id",
                self.tenant.id,
            )

    async def visit(self, source: str, day: int, email: str) -> None:
        """A browser of its own that gives an address."""
        at = START + timedelta(days=day)
        url = f"https://shop.example.com/?utm_source={source}&utm_medium=referral"
        events = [
            {"eventId": str(uuid4()), "type": "pageview", "url": url, "at": at.isoformat()},
            {
                "eventId": str(uuid4()),
                "type": "identify",
                "email": email,
                "at": (at + timedelta(seconds=9)).isoformat(),
            },
        ]
        body = {"siteKey": self.tenant.site_key, "visitorId": str(uuid4()), "events": events}
        answer = await self.client.post("/api/tracking/event", json=body, headers=AGENT)
        assert answer.status_code == 202, answer.text
        await self.run_jobs()

    async def sell(
        self, number: int, day: int, email: str | None, contact: str | None = None, *, gift_to: str | None = None
    ) -> None:
        charge = Charge(
            external_id=f"t{number}", kind="sale", amount_minor=10_000, currency="USD",
            occurred_at=START + timedelta(days=day), purchase_keys=(f"sale:{number}",),
            contact=Contact(email=email, external_id=contact),
        )  # fmt: skip
        given = [
            PurchaseFacts(purchase_keys=charge.purchase_keys, occurred_at=charge.occurred_at, gift_recipient=gift_to)
        ][: bool(gift_to)]
        async with self.tenant.transaction() as conn:
            models = self.tenant.runtime.registry.models
            await apply(conn, self.tenant.id, self.connection, "teachable", [charge, *given], models)
        await self.run_jobs()

    async def call(self, method: str, path: str, **body: Any) -> httpx.Response:
        given = {"json": body} if method == "POST" else {}
        answer = await self.client.request(method, f"/api/people{path}", headers=self.tenant.headers, **given)  # type: ignore[arg-type]
        await self.run_jobs()
        return answer

    async def who(self, email: str) -> dict[str, Any]:
        """The person with that address, opened."""
        (line,) = (await self.call("GET", f"?search={email}")).json()["items"]
        found: dict[str, Any] = (await self.call("GET", f"/{line['id']}")).json()
        return found

    async def merge(self, email: str, into: str) -> str:
        """By hand; the merge's id."""
        one, other = await self.who(email), await self.who(into)
        answer = await self.call("POST", f"/{one['id']}/merge", into=other["id"])
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["merges"][0]["id"]
        return found

    async def sources(self) -> dict[str, int]:
        """Net revenue by source under linear; "" is unattributed."""
        answer = await self.client.get("/api/analytics/sources?range=all&model=linear", headers=self.tenant.headers)
        report = answer.json()
        rows = {row["source"]: row["revenueMinor"] for row in report["rows"]}
        assert sum(rows.values()) + report["unattributed"]["revenueMinor"] == report["totals"]["revenueMinor"]
        return {**rows, "": report["unattributed"]["revenueMinor"]}
