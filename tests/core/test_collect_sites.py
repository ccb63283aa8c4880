"""Which site a key leads to, remembered for seconds: many keys in one query, nobody spoiling it for others."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from coursesignal.errors import Busy
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import TenantMaker
from coursesignal.tracking import sitecache
from coursesignal.tracking.sitecache import SiteCache


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each query asked for."""
    asked: list[int] = []
    look_up = SiteCache._look_up

    async def counted(self: SiteCache, keys: list[str]) -> object:
        asked.append(len(keys))
        return await look_up(self, keys)

    monkeypatch.setattr(SiteCache, "_look_up", counted)
    return asked


async def test_all_keys_wanted_at_a_time_are_one_query_and_odd_ones_spoil_nothing(
    installation: Runtime, make_tenant: TenantMaker, queries: list[int]
) -> None:
    tenants = [await make_tenant() for _ in range(3)]
    cache = SiteCache(installation.database)
    odd = ["nobody's", "nul\x00key", "\ud800", "ключ", "x" * 10_000]
    found = await asyncio.gather(*(cache.find(key) for key in [*(acting.site_key for acting in tenants), *odd]))
    assert [site and site.tenant_id for site in found] == [*(acting.id for acting in tenants), *[None] * len(odd)]
    assert queries == [8]
    assert await cache.find(odd[0]) is None
    assert len(queries) == 1, "unknown keys are remembered too"


async def test_a_key_in_use_is_read_again_before_it_is_forgotten_and_a_revoked_one_ends(
    installation: Runtime, make_tenant: TenantMaker, queries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = await make_tenant()
    cache = SiteCache(installation.database)
    assert await cache.find(acting.site_key) is not None
    async with acting.transaction() as conn:
        await conn.execute("update sites set revoked_at = now() where tenant_id = $1", acting.id)
    monkeypatch.setattr(sitecache, "REFRESH_AFTER_S", 0.0)
    assert await cache.find(acting.site_key) is not None, "still remembered, and asked for behind"
    async with asyncio.timeout(5):
        while await cache.find(acting.site_key) is not None:
            await asyncio.sleep(0.01)
    assert len(queries) >= 2


async def test_a_database_that_does_not_answer_is_said_to_all_and_asked_again(
    installation: Runtime, make_tenant: TenantMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = await make_tenant()
    cache = SiteCache(installation.database)
    with monkeypatch.context() as broken:
        broken.setattr(sitecache, "_LOOK_UP", "select nothing from nowhere where $1::text[] is null")
        told = await asyncio.gather(cache.find(acting.site_key), cache.find(str(uuid4())), return_exceptions=True)
    assert [type(error) for error in told] == [Busy, Busy]
    assert isinstance(told[0], Busy) and isinstance(told[0].__cause__, asyncpg.UndefinedTableError)
    assert await cache.find(acting.site_key) is not None
