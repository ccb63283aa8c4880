"""A tenant may say itself how often a connection is synced, and how far back it looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from coursesignal.connections.schedule import begin_due
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform


async def synced(tenant: ActingTenant, minutes_ago: int, looked_back_hours_ago: int) -> None:
    """As if the last sync had been then."""
    async with tenant.transaction() as conn:
        await conn.execute("delete from outbox where tenant_id = $1", tenant.id)
        await conn.execute(
            "update sync_runs set status = 'completed', created_at = now() - make_interval(mins => $2) where tenant_id = $1",
            tenant.id, minutes_ago,
        )  # fmt: skip
        await conn.execute(
            "update connections set synced_to = now() - make_interval(mins => $2), "
            "rescanned_to = now() - make_interval(hours => $3) where tenant_id = $1",
            tenant.id, minutes_ago, looked_back_hours_ago,
        )  # fmt: skip


async def begun(installation: Runtime, tenant: ActingTenant) -> list[tuple[str, datetime]]:
    """The kind and reach of what is due now."""
    async with tenant.transaction() as conn:
        before = datetime.now(UTC) - timedelta(seconds=30)
        await begin_due(conn, tenant.id, installation.registry.connectors)
        rows = await conn.fetch(
            "select kind, since from sync_runs where tenant_id = $1 and created_at > $2", tenant.id, before
        )
    return [(row["kind"], row["since"]) for row in rows]


async def test_a_connection_is_synced_as_often_and_looks_back_as_far_as_its_tenant_says(
    installation: Runtime, client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    async with FakeTeachable() as teachable:
        use_platform(installation, teachable)
        answer = await client.post("/api/teachable/connect", json={"apiKey": teachable.api_key}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    status = (await client.get("/api/teachable/status", headers=tenant.headers)).json()
    await synced(tenant, 10, 1)
    assert await begun(installation, tenant) == []

    limits = {"syncMinutes": 5, "rescanDays": 200}
    path = f"/api/connections/{status['connectionId']}"
    assert (await client.patch(path, json=limits, headers=tenant.headers)).status_code == 200
    assert [kind for kind, _ in await begun(installation, tenant)] == ["incremental"]

    await synced(tenant, 10, 25)
    ((kind, since),) = await begun(installation, tenant)
    assert kind == "rescan"
    assert timedelta(days=199) < datetime.now(UTC) - since < timedelta(days=201)
