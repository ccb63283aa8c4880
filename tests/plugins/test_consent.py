"""Consent over HTTP against an authorization server: the way there and back, and credentials that end and are renewed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coursesignal.connections import records, refreshing
from coursesignal.connections.context import stored_context
from coursesignal.connections.house import house
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import Call, FakeAuthorization, FakePlatform, FakeSale, Reply, use_platform
from coursesignal.testing.platforms.books import Buyer, Product
from coursesignal.testing.platforms.server import Route, moment

if TYPE_CHECKING:
    from coursesignal.testing.server import TestServer

RunJobs = Callable[[], Awaitable[None]]
Client = httpx.AsyncClient

CONNECTOR = """
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
from coursesignal.plugin import *


class Tokens(Settings):
    access_token: Secret = ""
    refresh_token: Secret = ""
    expires_at: datetime | None = None


class Lender(ConsentConnector[Tokens]):
    slug = "lender"
    name = "Lender"
    api_url = "https://api.lender.test"
    issuer = "https://lender.test"
    credentials = Tokens
    streams = ("sales",)
    capabilities = Capabilities(
        signed_push=False, refund_push=False, refunds="rows", currency_in_push=True, email_in_push=True, email_in_pull=True
    )

    def authorize_url(self, request, base_url):
        query = {"state": request.state, "redirect_uri": request.redirect_uri, "code_challenge": request.challenge}
        return f"{base_url}/authorize?{urlencode({**query, 'code_challenge_method': 'S256'})}"

    async def exchange_code(self, ctx, request, code, base_url):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": request.redirect_uri}
        return await trade(ctx.http, {**form, "code_verifier": request.verifier})

    def expires_at(self, credentials):
        return credentials.expires_at

    async def refresh(self, ctx):
        return await trade(ctx.http, {"grant_type": "refresh_token", "refresh_token": ctx.credentials.refresh_token})

    async def connect(self, ctx):
        me = await get(ctx, "/me")
        return Connected(account=Account(id=me["id"], name=me["name"]))

    def verify_webhook(self, request, credentials): pass

    def parse_webhook(self, request): return []

    async def sync_page(self, ctx, stream, cursor, since):
        number = int(cursor or "0")
        rows = (await get(ctx, f"/sales/{number}"))["sales"]
        events = [
            Charge(external_id=row["id"], kind="sale", amount_minor=row["cents"], currency="USD",
                   occurred_at=datetime.fromisoformat(row["at"]), purchase_keys=(f"sale:{row['id']}",),
                   contact=Contact(email=row["email"]))
            for row in rows
        ]
        return Page(events=events, cursor=str(number + 1) if rows else None)


async def trade(http, form):
    try:
        answer = await http.post("/token", data=form)
    except httpx.HTTPError as error:
        raise Unavailable("Lender does not answer.") from error
    told = answer.json()
    if answer.status_code >= 500:
        raise Unavailable("Lender is down.")
    if answer.is_error:
        raise AuthFailed(told["error_description"])
    until = datetime.now(UTC) + timedelta(seconds=told["expires_in"])
    return Tokens(access_token=told["access_token"], refresh_token=told["refresh_token"], expires_at=until)


async def get(ctx, path):
    try:
        answer = await ctx.http.get(path, headers={"authorization": f"Bearer {ctx.credentials.access_token}"})
    except httpx.HTTPError as error:
        raise Unavailable("Lender does not answer.") from error
    if answer.status_code == 401:
        raise AuthFailed(answer.json()["error"])
    if answer.is_error:
        raise Unavailable(f"Lender answered {answer.status_code}.")
    return answer.json()
"""
INIT = """
from coursesignal.plugin import hookimpl
from coursesignal_lender.connector import Lender

@hookimpl
def register_connectors(): return [Lender()]
"""

MANIFEST = """
slug = "lender"
name = "Lender"
summary = "Written for a test."
version = "0.0.1"
api = 1
hosts = ["api.lender.test"]
"""


class FakeLender(FakePlatform):
    """One account behind an authorization server."""

    slug = "lender"

    def __init__(self) -> None:
        self.authorization = FakeAuthorization("https://lender.test")
        self.sales: list[FakeSale] = []
        self.token_down = False
        super().__init__()

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        return [
            *self.authorization.routes(),
            ("GET", "/me", lambda call: Reply(200, {"id": "acct-9", "name": "Lender Academy"})),
            ("GET", r"/sales/(\d+)", self._page),
        ]

    def _page(self, call: Call, number: str) -> Reply:
        rows = self.sales[int(number) : int(number) + 1]
        told = [
            {"id": str(s.id), "cents": s.amount_minor, "at": s.at.isoformat(), "email": s.buyer.email} for s in rows
        ]
        return Reply(200, {"sales": told})

    def refuse(self, call: Call) -> Reply | None:
        if call.path == "/token" and self.token_down:
            return Reply(503, {})
        return None if self.authorization.admits(call) else self.error(401, "The token is not valid.")

    def error(self, status: int, message: str) -> Reply:
        return Reply(status, {"error": message})

    def sell(
        self, email: str, amount_minor: int = 9_900, currency: str = "USD", *, product: str = "Example Course", name: str = "",
        at: datetime | None = None, recurring: bool = False, coupon: str | None = None,
    ) -> FakeSale:  # fmt: skip
        number = len(self.sales) + 1
        sale = FakeSale(
            number, number, Buyer(number, email, name), Product(1, product), amount_minor, currency, moment(at)
        )
        self.sales.append(sale)
        self._book(amount_minor, currency, sale.at)
        return sale

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        raise NotImplementedError

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def plugins_with_lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plugins.toml with a plugin for Lender."""
    folder = tmp_path_factory.mktemp("lender")
    package = folder / "coursesignal_lender"
    package.mkdir()
    for name, text in {"__init__.py": INIT, "connector.py": CONNECTOR, "plugin.toml": MANIFEST}.items():
        (package / name).write_text(text)
    listed = folder / "plugins.toml"
    listed.write_text("[plugins.lender]\n")
    sys.path.insert(0, str(folder))
    yield listed
    sys.path.remove(str(folder))
    for name in ("coursesignal_lender", "coursesignal_lender.connector"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
async def installation(
    anyio_backend: str, test_server: TestServer, plugins_with_lender: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), plugins_file=plugins_with_lender, base_url="http://coursesignal.test",
        testing=True, pool_size=8,
    )  # fmt: skip
    runtime = Runtime.prepare(settings, where=test_server.addresses(await test_server.clone()))
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


@pytest.fixture
async def lender(installation: Runtime, run_jobs: RunJobs) -> AsyncIterator[FakeLender]:
    async with FakeLender() as platform:
        use_platform(installation, platform)
        await run_jobs()  # what other tests left, which this platform refuses
        platform.authorization.refreshes = 0
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant(plugins=())


async def sent_back(client: Client, tenant: ActingTenant) -> str:
    """Where the platform sends a person who came from our connect page and allowed it."""
    form = (await client.get("/api/lender/connect", headers=tenant.headers)).json()
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(form["authorizeUrl"])
    assert answer.status_code == 302, answer.text
    location: str = answer.headers["location"]
    return location


async def come_back(client: Client, tenant: ActingTenant, location: str) -> httpx.Response:
    return await client.get(location, headers={"authorization": tenant.headers["authorization"]})


async def connected(client: Client, tenant: ActingTenant) -> None:
    answer = await come_back(client, tenant, await sent_back(client, tenant))
    assert answer.status_code == 200, answer.text


async def sync(client: Client, tenant: ActingTenant, run_jobs: RunJobs) -> dict[str, Any]:
    assert (await client.post("/api/lender/sync", headers=tenant.headers)).status_code == 202
    await run_jobs()
    found: dict[str, Any] = (await client.get("/api/lender/sync-status", headers=tenant.headers)).json()
    return found


async def test_consent_leads_to_a_connection_and_its_sales(
    client: Client, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    lender.sell("pat@example.com", 12_000)
    location = await sent_back(client, tenant)
    assert location.startswith("http://coursesignal.test/api/lender/callback?")
    answer = await come_back(client, tenant, location)
    assert answer.json()["account"] == {"id": "acct-9", "name": "Lender Academy"}
    await run_jobs()
    status = (await client.get("/api/lender/status", headers=tenant.headers)).json()
    assert status["reconciliation"]["message"].startswith("Agrees with Lender to the cent: 120.00 USD.")


@pytest.mark.parametrize("change", [
    ("state=", "state=0"), ("iss=https%3A%2F%2Flender.test", "iss=https%3A%2F%2Fother.test"), ("code=", "code=x"),
    ("code=", "c="), ("state=", "s="),
])  # fmt: skip
async def test_a_way_back_that_was_tampered_with_connects_nothing(
    client: Client, tenant: ActingTenant, lender: FakeLender, change: tuple[str, str]
) -> None:
    location = (await sent_back(client, tenant)).replace(*change)
    answer = await come_back(client, tenant, location)
    assert answer.status_code == 400, answer.text
    assert (await client.get("/api/lender/status", headers=tenant.headers)).json()["state"] == "off"


async def test_a_state_is_good_once_for_its_session_and_for_ten_minutes(
    client: Client, make_tenant: TenantMaker, tenant: ActingTenant, lender: FakeLender
) -> None:
    location = await sent_back(client, tenant)
    other = await make_tenant(plugins=())
    assert (await come_back(client, other, location)).status_code == 400
    assert (await client.get(location)).status_code == 400
    assert (await come_back(client, tenant, location)).status_code == 200
    assert (await come_back(client, tenant, location)).status_code == 400
    late = await sent_back(client, tenant)
    async with tenant.transaction() as conn:
        await conn.execute("update consents set expires_at = now() where tenant_id = $1", tenant.id)
    assert (await come_back(client, tenant, late)).status_code == 400


async def test_the_redirect_address_must_be_exact_and_the_verifier_the_one_of_the_challenge(
    client: Client, tenant: ActingTenant, lender: FakeLender
) -> None:
    lender.authorization.redirect_uris = {"http://coursesignal.test/api/lender/callback"}
    form = (await client.get("/api/lender/connect", headers=tenant.headers)).json()
    async with httpx.AsyncClient() as browser:
        wrong = await browser.get(form["authorizeUrl"].replace("callback", "callback%2Fx"))
        assert wrong.status_code == 400
        stolen = (await browser.get(form["authorizeUrl"])).headers["location"]
        code = httpx.URL(stolen).params["code"]
        for verifier in ("", "guess"):
            taken = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
            uri = {"redirect_uri": "http://coursesignal.test/api/lender/callback"}
            assert (await browser.post(f"{lender.url}/token", data={**taken, **uri})).status_code == 400
    refused = await come_back(client, tenant, stolen)
    assert refused.status_code == 400
    assert "The code is not valid." in refused.text


async def test_credentials_that_end_soon_are_renewed_before_they_are_used(
    client: Client, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    lender.authorization.lifetime_s = 60
    await connected(client, tenant)
    lender.authorization.lifetime_s = 3600
    await run_jobs()
    assert lender.authorization.refreshes == 1
    await sync(client, tenant, run_jobs)
    assert lender.authorization.refreshes == 1, "the new ones last"


async def test_a_token_that_ends_in_the_middle_of_a_sync_is_renewed_there(
    client: Client, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    for n in range(3):
        lender.sell(f"buyer{n}@example.com", 1_000)
    await connected(client, tenant)
    answer = lender.answer

    def expire_at_the_second(call: Call) -> Reply:
        if call.path == "/sales/1":
            lender.answer = answer  # type: ignore[method-assign]
            lender.authorization.expire()
        return answer(call)

    lender.answer = expire_at_the_second  # type: ignore[method-assign]
    await run_jobs()
    done = (await client.get("/api/lender/sync-status", headers=tenant.headers)).json()
    assert (done["status"], done["processed"]) == ("completed", 3)
    assert lender.authorization.refreshes == 1


async def test_of_many_who_want_fresh_credentials_one_renews_them(
    client: Client, installation: Runtime, tenant: ActingTenant, lender: FakeLender
) -> None:
    lender.authorization.strict = True
    lender.authorization.lifetime_s = 1
    await connected(client, tenant)
    parts = house(installation)
    connector = parts.connectors["lender"]
    async with tenant.transaction() as conn:
        row = await records.current(conn, tenant.id, "lender")
    lender.authorization.lifetime_s = 3600

    async def one() -> bytes | None:
        renewed = await refreshing.fresh(
            parts, connector, row, lambda row: stored_context(parts, tenant.tenant, connector, row), force=True
        )
        return renewed.credentials

    found = await asyncio.gather(*(one() for _ in range(6)))
    assert len(set(found)) == 1
    assert found[0] != row.credentials
    assert lender.authorization.refreshes == 1


async def lose_an_answer(lender: FakeLender, installation: Runtime, tenant: ActingTenant) -> None:
    """Use the stored refresh token as a worker does that is killed before it stores the answer."""
    parts = house(installation)
    async with tenant.transaction() as conn:
        row = await records.current(conn, tenant.id, "lender")
    ctx = stored_context(parts, tenant.tenant, parts.connectors["lender"], row)
    await parts.connectors["lender"].refresh(ctx)


async def test_a_crash_between_use_and_save_loses_no_token(
    client: Client, installation: Runtime, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    await connected(client, tenant)
    await run_jobs()
    await lose_an_answer(lender, installation, tenant)
    async with tenant.transaction() as conn:  # the lease of the one that was killed, and what it left
        await conn.execute(
            "update connections set refresh_token = gen_random_uuid(), refresh_until = now() where tenant_id = $1",
            tenant.id,
        )
    lender.authorization.expire()
    lender.sell("pat@example.com", 5_000)
    assert (await sync(client, tenant, run_jobs))["status"] == "completed"
    assert (await client.get("/api/lender/status", headers=tenant.headers)).json()["state"] == "ready"


async def test_a_platform_that_takes_a_token_once_only_asks_to_connect_again_in_its_own_words(
    client: Client, installation: Runtime, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    lender.authorization.strict = True
    await connected(client, tenant)
    await run_jobs()
    await lose_an_answer(lender, installation, tenant)
    lender.authorization.expire()
    failed = await sync(client, tenant, run_jobs)
    assert (failed["status"], failed["error"]) == ("failed", "The refresh token was used already.")
    status = (await client.get("/api/lender/status", headers=tenant.headers)).json()
    assert (status["state"], status["problem"]) == ("needs_reauth", "The refresh token was used already.")
    await connected(client, tenant)
    assert (await client.get("/api/lender/status", headers=tenant.headers)).json()["state"] == "ready"


async def test_credentials_that_are_still_good_are_used_while_no_others_can_be_had(
    client: Client, tenant: ActingTenant, lender: FakeLender, run_jobs: RunJobs
) -> None:
    lender.authorization.lifetime_s = 120
    await connected(client, tenant)
    lender.token_down = True
    lender.sell("pat@example.com", 5_000)
    await run_jobs()
    assert (await client.get("/api/lender/sync-status", headers=tenant.headers)).json()["status"] == "completed"
