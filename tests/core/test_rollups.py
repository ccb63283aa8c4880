"""Figures kept per day: what changed is counted again and nothing else, and no report is ever wrong for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.analytics.counting import close, refresh, refresh_everything, waiting
from coursesignal.analytics.rollup_check import check
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NOW = datetime.now(UTC)


class Shop:
    """A tenant with a past, what is kept of its days, and how to ask about it."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant) -> None:
        self.http, self.tenant, self.past = http, tenant, History(tenant)
        self.db = tenant.runtime.database

    async def get(self, report: str, **params: str) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self) -> int:
        return await refresh(self.db, self.tenant.id)

    async def waiting(self) -> int:
        async with self.tenant.transaction() as conn:
            return await waiting(conn, self.tenant.id)

    async def run(self, sql: str, *values: object) -> str:
        async with self.tenant.transaction() as conn:
            done: str = await conn.execute(sql, self.tenant.id, *values)
        return done


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """Three days of the past with visits and sales, none of them counted."""
    shop = Shop(client, await make_tenant())
    for days in (20, 19, 3):
        at = NOW - timedelta(days=days)
        await shop.past.visit("one", at, "youtube", channel="Organic Video", campaign="spring", opt_in=days == 3)
        await shop.past.visit("two", at, "newsletter", channel="Email")
        await shop.past.sale("buyer@example.com", 5_000, at)
    return shop


async def test_days_are_counted_once_and_again_when_they_change(shop: Shop) -> None:
    assert await shop.waiting() == 6
    assert await shop.refresh() == 6
    assert (await shop.waiting(), await shop.refresh()) == (0, 0)
    await shop.past.visit("three", NOW - timedelta(days=20), "podcast")
    assert (await shop.waiting(), await shop.refresh()) == (1, 1)
    assert await refresh_everything(shop.db, shop.tenant.id) == 36
    found = await check(shop.db, shop.tenant.id)
    assert (found.days, found.closed, found.differences) == (36, 0, ())
