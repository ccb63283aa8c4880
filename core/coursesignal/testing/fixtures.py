"""Pytest fixtures, loaded as the plugin ``coursesignal``.

``installation`` is a migrated installation with its own database, ``client`` speaks HTTP to it in the same event loop,
``make_tenant`` makes tenants with everything a test needs to act as them, ``run_jobs`` runs the pipeline and all due work.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    import httpx

    from coursesignal.plugin import Tenant
    from coursesignal.runtime import Runtime
    from coursesignal.testing.server import TestServer

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def plugins_file() -> Path:
    """The plugins.toml of the installation under test; override it to test your own plugin."""
    here = Path(os.environ.get("COURSESIGNAL_PLUGINS_FILE", "plugins.toml"))
    return here.absolute()


@pytest.fixture(scope="session")
def test_server(plugins_file: Path) -> Iterator[TestServer]:
    """A PostgreSQL of this session's own, with a migrated template."""
    from coursesignal.settings import Settings
    from coursesignal.testing.server import TestServer

    server = TestServer.start()
    try:
        settings = Settings(home=server.home, plugins_file=plugins_file, testing=True)
        asyncio.run(server.make_template(settings))
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
async def installation(
    anyio_backend: str, test_server: TestServer, plugins_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    """A started runtime on a database of this module's own, in which every event is put on record for tests to look at."""
    from coursesignal.events import EVENTS
    from coursesignal.jobs import outbox
    from coursesignal.runtime import Runtime
    from coursesignal.settings import Settings

    outbox.listen_to(event.name for event in EVENTS)

    where = test_server.addresses(await test_server.clone())
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=home, plugins_file=plugins_file, base_url="http://coursesignal.test", testing=True, pool_size=8
    )
    runtime = Runtime.prepare(settings, where=where)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


@pytest.fixture(scope="module")
async def client(installation: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP to the whole web application, without a socket."""
    import httpx

    from coursesignal.app import create_app

    app = create_app(installation, manage_runtime=False)
    async with (
        app.lifespan(),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://coursesignal.test") as http,  # type: ignore[arg-type]
    ):
        yield http


@dataclasses.dataclass
class ActingTenant:
    """A tenant and what a test needs to act as its owner."""

    tenant: Tenant
    owner_id: UUID
    email: str
    password: str
    access_token: str
    site_key: str
    site_id: UUID
    runtime: Runtime

    @property
    def id(self) -> UUID:
        return self.tenant.id

    @property
    def headers(self) -> dict[str, str]:
        """The owner's access token, and the tenant by name."""
        return {"authorization": f"Bearer {self.access_token}", "x-tenant": self.tenant.slug}

    def transaction(self) -> Any:
        """A transaction bound to the tenant."""
        return self.runtime.database.tenant(self.id)


TenantMaker = Callable[..., Awaitable[ActingTenant]]


@pytest.fixture(scope="module")
def make_tenant(installation: Runtime) -> TenantMaker:
    """``await make_tenant(slug=…, currency="USD", time_zone="UTC", plugins=("kajabi", …))`` with a verified owner."""
    return functools.partial(_make_tenant, installation)


async def _make_tenant(
    runtime: Runtime,
    slug: str = "",
    *,
    currency: str = "USD",
    time_zone: str = "UTC",
    plugins: Sequence[str] = ("kajabi", "teachable", "stripe", "launches", "recommendations", "email", "dashboard"),
    role: str = "owner",
) -> ActingTenant:
    from coursesignal.plugin import Tenant
    from coursesignal.testing.people import access_token, add_person

    slug = slug or f"tenant-{secrets.token_hex(4)}"
    email = f"owner@{slug}.example.com"
    site_key = secrets.token_urlsafe(24)
    async with runtime.database.control() as conn:
        tenant_id = await conn.fetchval(
            "insert into tenants (slug, name, currency, time_zone) values ($1, $2, $3, $4) returning id",
            slug, slug.title(), currency, time_zone,
        )  # fmt: skip
        owner_id = await add_person(conn, email, PASSWORD, tenant_id, role)
    async with runtime.database.tenant(tenant_id) as conn:
        site_id = await conn.fetchval(
            "insert into sites (tenant_id, public_key, name) values ($1, $2, 'Site') returning id", tenant_id, site_key
        )
        await conn.executemany(
            "insert into plugin_states (tenant_id, plugin, granted, enabled) values ($1, $2, true, true)",
            [(tenant_id, plugin) for plugin in plugins],
        )
    token = await access_token(runtime, owner_id)
    tenant = Tenant(id=tenant_id, slug=slug, name=slug.title(), currency=currency, time_zone=time_zone)
    return ActingTenant(tenant, owner_id, email, PASSWORD, token, site_key, site_id, runtime)


@pytest.fixture(scope="module")
def run_jobs(installation: Runtime) -> Callable[[], Awaitable[None]]:
    """Process every stored event and all due work, until there is none."""
    from coursesignal.jobs.worker import run_until_idle

    async def run() -> None:
        await run_until_idle(installation.database, installation.handlers(), installation.drain_events)

    return run
