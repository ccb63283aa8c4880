"""A feature that is turned off is nowhere; one that is taken out of plugins.toml leaves core whole and can be cleared away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal import events
from coursesignal.app import create_app
from coursesignal.db.ids import uuid7
from coursesignal.jobs import outbox
from coursesignal.plugins import leftovers
from coursesignal.plugins.crons import crons_of
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings
from coursesignal.testing import pages
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

FEATURES = ("launches", "recommendations", "email")
NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)
Client = httpx.AsyncClient


async def switch(client: Client, tenant: ActingTenant, slug: str, *, on: bool) -> None:
    answer = await client.put(f"/api/plugins/{slug}", headers=tenant.headers, json={"enabled": on})
    assert answer.status_code == 200, answer.text


async def calls(client: Client, slug: str) -> list[tuple[str, str]]:
    """Every method and path of the plugin's API, with ids that are nobody's."""
    schema = (await client.get("/api/schema/openapi.json")).json()
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", str(uuid4()), path))
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/api/") and slug in operation.get("tags", []) and not path.startswith("/api/public/")
    ]


async def tasks_of(tenant: ActingTenant, slug: str) -> list[str]:
    """What has been planned for the plugin, but for its own turning on and off."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select name from outbox where tenant_id = $1 and plugin = $2 and not name like 'plugin\\_%'",
            tenant.id,
            slug,
        )
    return sorted(row["name"] for row in rows)


async def live_through_a_day(installation: Runtime, tenant: ActingTenant, slug: str) -> None:
    """Every kind of event happens to the tenant, and every schedule of the plugin comes due."""
    values: dict[str, Any] = {
        "visitor_id": uuid7(), "person_id": uuid7(), "from_person_id": uuid7(), "into_person_id": uuid7(),
        "touch_ids": (uuid7(),), "purchase_id": uuid7(), "amount_minor": 4200, "currency": "USD", "rule": "r", "key": "k",
        "title": "A title", "connection_id": uuid7(), "platform": "kajabi", "reason": "because", "processed": 3, "matched": 2,
    }  # fmt: skip
    async with tenant.transaction() as conn:
        for kind in events.EVENTS:
            own = {name: values[name] for name in kind.__struct_fields__ if name in values}
            await outbox.publish(conn, kind(id=uuid7(), tenant_id=tenant.id, occurred_at=NOON, **own))
    for cron in crons_of(installation):
        if cron.name.startswith(f"{slug}."):
            await cron.run(NOON)


@pytest.mark.parametrize("slug", FEATURES)
async def test_a_feature_that_is_off_is_nowhere(
    client: Client,
    installation: Runtime,
    make_tenant: TenantMaker,
    run_jobs: Callable[[], Awaitable[None]],
    slug: str,
) -> None:
    off, on = await make_tenant(), await make_tenant()
    await switch(client, off, slug, on=False)
    for method, path in await calls(client, slug):
        answer = await client.request(method, path, headers=off.headers)
        assert answer.status_code == 404, (method, path, answer.text)
    for tenant in (off, on):
        await live_through_a_day(installation, tenant, slug)
    await run_jobs()
    assert await tasks_of(off, slug) == []
    assert await tasks_of(on, slug) != [], "the day holds something for it"
    page = await pages.visit(client, off, "dashboard")
    assert f"/{slug}" not in page.html
    await pages.visit(client, off, slug, status=404)


async def test_a_feature_turned_on_again_finds_its_data(client: Client, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    launch = await new_launch(client, tenant)
    for on in (False, True):
        await switch(client, tenant, "launches", on=on)
    found = await client.get(f"/api/launches/{launch}", headers=tenant.headers)
    assert found.status_code == 200
    assert found.json()["title"] == "Spring"


async def new_launch(client: Client, tenant: ActingTenant) -> str:
    starts_at = datetime.now(UTC) + timedelta(days=1)
    times = {"startsAt": starts_at.isoformat(), "endsAt": (starts_at + timedelta(days=5)).isoformat()}
    answer = await client.post("/api/launches", headers=tenant.headers, json={"title": "Spring", **times})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


# -- taken out of plugins.toml -----------------------------------------------------------------------------------------


@pytest.fixture
async def without_launches(installation: Runtime, tmp_path: Path) -> AsyncIterator[Runtime]:
    """Another process of the installation, whose plugins.toml lists launches no more."""
    listed = [plugin.slug for plugin in installation.registry.plugins if plugin.slug != "launches"]
    path = tmp_path / "plugins.toml"
    path.write_text("".join(f"[plugins.{slug}]\n" for slug in listed))
    settings = Settings(
        home=installation.settings.home, plugins_file=path, base_url="http://coursesignal.test", testing=True
    )
    runtime = Runtime.prepare(settings, where=installation.where)
    await runtime.start()
    yield runtime
    await runtime.stop()


async def test_core_goes_on_without_it_and_its_tables_wait(
    client: Client, without_launches: Runtime, make_tenant: TenantMaker
) -> None:
    tenant, other = await make_tenant(), await make_tenant()
    kept = await new_launch(client, other)
    await new_launch(client, tenant)
    app = create_app(without_launches, manage_runtime=False)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        app.lifespan(),  # type: ignore[attr-defined]
        Client(transport=transport, base_url="http://coursesignal.test") as http,
    ):
        assert (await http.get("/api/launches", headers=tenant.headers)).status_code == 404
        assert (await http.get("/api/analytics/summary", headers=tenant.headers)).status_code == 200
        page = await pages.visit(http, tenant, "dashboard")
        assert "/launches" not in page.html
    (left,) = await leftovers.leftovers(without_launches.where.owner, without_launches.registry)
    assert left.slug == "launches"
    assert "launches_launches" in left.tables
    async with without_launches.database.tenant(tenant.id) as conn:
        await leftovers.erase(conn, tenant.id, left)
        for table in left.tables:
            assert await conn.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant.id) == 0
    assert (await client.get("/api/launches", headers=tenant.headers)).status_code == 404  # not on until wanted again
    assert (await client.get(f"/api/launches/{kept}", headers=other.headers)).status_code == 200


async def test_nothing_is_left_of_plugins_that_run(installation: Runtime) -> None:
    assert await leftovers.leftovers(installation.where.owner, installation.registry) == []


async def test_what_is_dropped_is_made_anew_when_it_comes_back(
    installation: Runtime, without_launches: Runtime, test_server: Any
) -> None:
    where = test_server.addresses(await test_server.clone())
    (left,) = await leftovers.leftovers(where.owner, without_launches.registry)
    await leftovers.drop(where.owner, left)
    assert await leftovers.leftovers(where.owner, without_launches.registry) == []
    again = Runtime.prepare(installation.settings, where=where)
    assert {state.app for state in await again.migrator.plan()} == {"launches"}
    await again.migrator.up()
    assert await again.migrator.plan() == []
