"""What must be there before anything can happen: the agency, its two tenants, their people and connections.

Accounts and tenants are made by the services behind ``coursesignal users`` and ``coursesignal tenants``; the rest goes through
the API, as a person would do it. All of it is safe to repeat.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import httpx

from coursesignal.app import create_app
from coursesignal.auth import users
from coursesignal.auth.callers import Caller
from coursesignal.demo.api import Api, DemoFailed
from coursesignal.demo.notebook import Notebook
from coursesignal.demo.platforms import Platforms, credentials
from coursesignal.demo.seed import Place
from coursesignal.demo.shops import AGENCY_EMAIL, AGENCY_NAME, AGENCY_SLUG, SHOPS, Shop
from coursesignal.runtime import Runtime
from coursesignal.security.passwords import hash_password
from coursesignal.tenancy import agencies, tenants
from coursesignal.tenancy.schemas import AgencyIn, TenantIn

SELF = Caller(email="coursesignal demo")
REQUESTS_PER_MINUTE = 6_000
"""The platforms are on this machine and have no limits; nobody should wait for them as for the real ones."""
SURE = {"fallbackMatch": False}
"""The ledger knows who bought and by which ways they came; it does not guess, so the reports beside it do not either."""
KEY_SCOPES = ["analytics:read", "connections:read", "tracking:read"]


@dataclass(frozen=True, slots=True)
class Premises:
    """One shop's tenant, ready for visitors and sales."""

    shop: Shop
    slug: str
    owner: str
    """The owner's login."""
    place: Place
    site_key: str


async def prepare(
    runtime: Runtime, platforms: Platforms, notebook: Notebook, *, suffix: str = ""
) -> Sequence[Premises]:
    """Make what is missing; ``suffix`` is put behind every name that must be unique in the installation."""
    agency_id = await _agency(runtime, notebook, suffix)
    async with _in_process(runtime) as http:
        return [await _premises(runtime, http, platforms, notebook, shop, agency_id, suffix) for shop in SHOPS]


def email_of(name: str, suffix: str = "") -> str:
    """The login of the agency or of a shop's owner."""
    return name.replace("@", f"{suffix}@")


@contextlib.asynccontextmanager
async def _in_process(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The API without a socket: no worker runs yet that would mix with writing the history."""
    app = create_app(runtime, manage_runtime=False)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # the same protocol under another name
    async with (
        app.lifespan(),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url=runtime.settings.base_url, timeout=60) as http,
    ):
        yield http


async def _person(runtime: Runtime, email: str, password: str) -> UUID:
    """A user who can log in with ``password``."""
    hashed = await hash_password(password)
    async with runtime.database.control() as conn:
        user = await users.ensure(conn, email)
        await users.verify(conn, user.id, hashed)
    return user.id


async def _agency(runtime: Runtime, notebook: Notebook, suffix: str) -> UUID:
    owner_id = await _person(runtime, email_of(AGENCY_EMAIL, suffix), notebook.password)
    slug = f"{AGENCY_SLUG}{suffix}"
    async with runtime.database.control() as conn:
        known: UUID | None = await conn.fetchval("select id from agencies where slug = $1", slug)
    if known is not None:
        return known
    return (await agencies.create(runtime.database, AgencyIn(name=AGENCY_NAME, slug=slug), owner_id)).id


async def _premises(
    runtime: Runtime,
    http: httpx.AsyncClient,
    platforms: Platforms,
    notebook: Notebook,
    shop: Shop,
    agency_id: UUID,
    suffix: str,
) -> Premises:
    slug, owner = f"{shop.slug}{suffix}", email_of(shop.owner, suffix)
    owner_id = await _person(runtime, owner, notebook.password)
    tenant_id = await _tenant(runtime, shop, slug, owner_id, agency_id)
    api = await Api(http).login(owner, notebook.password, tenant=slug)
    await api.patch(f"/api/tenants/{slug}", SURE)
    await _connect(api, platforms, shop)
    if shop is SHOPS[0]:
        await _api_key(api, notebook)
    site_key = (await api.get("/api/script/info"))["siteKey"]
    place = await _place(runtime, shop, tenant_id, site_key)
    return Premises(shop, slug, owner, place, site_key)


async def _tenant(runtime: Runtime, shop: Shop, slug: str, owner_id: UUID, agency_id: UUID) -> UUID:
    async with runtime.database.control() as conn:
        known: UUID | None = await conn.fetchval("select id from tenants where slug = $1", slug)
    if known is not None:
        return known
    wanted = TenantIn(name=shop.name, slug=slug, time_zone=shop.time_zone, currency=shop.currency)
    return await tenants.create(runtime.database, SELF, wanted, owner_id=owner_id, agency_id=agency_id)


async def _connect(api: Api, platforms: Platforms, shop: Shop) -> None:
    """Connect the platform; where it cannot register webhooks itself, enter the address there by hand."""
    answer = await api.post(f"/api/{shop.platform}/connect", credentials(shop))
    if answer["webhooks"] == "manual":
        platforms.by_shop[shop.slug].webhook_urls = [answer["webhookUrl"]]
    connected = (await api.get(f"/api/{shop.platform}/status"))["connectionId"]
    await api.patch(f"/api/connections/{connected}", {"requestsPerMinute": REQUESTS_PER_MINUTE})


async def _api_key(api: Api, notebook: Notebook) -> None:
    """A key to read with, unless the one of an earlier run still works."""
    if notebook.api_key:
        with contextlib.suppress(DemoFailed):
            await Api(api.http, token=notebook.api_key).get("/api/analytics/models")
            return
    made = await api.post("/api/api-keys", {"name": "Demo", "scopes": KEY_SCOPES})
    notebook.api_key = made["key"]


async def _place(runtime: Runtime, shop: Shop, tenant_id: UUID, site_key: str) -> Place:
    async with runtime.database.tenant(tenant_id) as conn:
        site_id = await conn.fetchval(
            "select id from sites where tenant_id = $1 and public_key = $2", tenant_id, site_key
        )
        connection_id = await conn.fetchval(
            "select id from connections where tenant_id = $1 and platform = $2 and state = 'ready'",
            tenant_id, shop.platform,
        )  # fmt: skip
    return Place(tenant_id, site_id, connection_id)
