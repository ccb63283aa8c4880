"""Generated from the route table: every route of core and of every plugin, called by everyone who must not pass, and who may.

Nothing here knows a route by name except the few that decide by themselves. Denied calls carry a body that cannot be read
and paths that lead to nothing: who is asking comes before what they ask.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.routes import HTTPRoute

from coursesignal.app import create_litestar
from coursesignal.auth.access import Access
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.people import access_token, add_person
from coursesignal.testing.server import TestServer
from coursesignal.web.access import ROLES, SCHEMA_PATH

PLUGINS = ("kajabi", "teachable", "stripe", "launches", "recommendations", "email", "dashboard")
SAMPLE = ("sample",) if importlib.util.find_spec("coursesignal_sample") else ()
UNREADABLE = b'{"name": '
CONFIGURES = {"POST", "PUT", "PATCH"}
ANSWERS_403_ITSELF = {"removeMember", "removeAgencyMember"}
"""Open to everybody in the team, who may take themselves out; taking others out is refused by the handler."""
ANSWERS_401_ITSELF = {"loginFromPage"}
"""Open to everybody, and an empty form holds no right password."""


@dataclass(frozen=True)
class RouteCase:
    """One method of one route with what it declares."""

    method: str
    path: str
    parts: tuple[Any, ...]
    access: Access
    plugin: str | None
    operation: str

    def url(self, tenant: str, agency: str = "absent") -> str:
        """The path; tenant and agency are given, every other parameter is well-formed and leads to nothing."""
        return "/" + "/".join(
            part if isinstance(part, str) else self._fill(part, tenant, agency) for part in self.parts
        )

    def _fill(self, part: Any, tenant: str, agency: str) -> str:
        if part.name in {"tenant_slug", "agency"}:
            return tenant if part.name == "tenant_slug" else agency
        return str(uuid4()) if part.type is UUID else "7" if part.type in {int, float} else f"absent-{uuid4().hex[:8]}"

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.access})"


@dataclass
class Faults:
    """What was answered otherwise than declared; all of it is shown at once."""

    calls: int = 0
    found: list[str] = field(default_factory=list)

    def expect(self, right: bool, case: RouteCase, answer: httpx.Response, who: str) -> None:
        self.calls += 1
        if not right:
            self.found.append(f"{who}: {case} → {answer.status_code} {answer.text[:120]}")

    def none_in(self, least: int) -> None:
        assert self.calls >= least, f"only {self.calls} calls were made"
        assert not self.found, "\n".join(self.found)


@pytest.fixture(scope="module")
async def installation(
    anyio_backend: str, test_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    """An installation with every bundled plugin, and the sample of a third party where it is installed."""
    home: Path = tmp_path_factory.mktemp("routes")
    listed = home / "plugins.toml"
    listed.write_text("".join(f"[plugins.{slug}]\n" for slug in (*PLUGINS, *SAMPLE)))
    settings = Settings(home=home, plugins_file=listed, base_url="http://coursesignal.test", testing=True, pool_size=8)
    runtime = Runtime.prepare(settings, where=test_server.addresses(await test_server.clone()))
    await runtime.migrator.up()
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


@pytest.fixture(scope="module")
def cases(installation: Runtime) -> list[RouteCase]:
    """Every handler of the application; the public description of the API and what Litestar answers to OPTIONS are left out."""
    found = []
    for route in create_litestar(installation, manage_runtime=False).routes:
        if not isinstance(route, HTTPRoute) or (route.path + "/").startswith(SCHEMA_PATH + "/"):
            continue
        for handler in route.route_handlers:
            for method in sorted({str(method) for method in handler.http_methods} - {"OPTIONS"}):
                opt, operation = handler.opt, str(handler.operation_id)
                access = opt.get("access")
                assert isinstance(access, Access), f"{method} {route.path} declares nothing"
                found.append(
                    RouteCase(
                        method, route.path_format, (*route.path_components,), access, opt.get("plugin"), operation
                    )
                )
    return found


def of_kind(cases: Iterable[RouteCase], *kinds: str) -> list[RouteCase]:
    return [case for case in cases if case.access.kind in kinds]


@pytest.fixture(scope="module")
async def home(make_tenant: TenantMaker) -> ActingTenant:
    """The tenant that is asked for, with every plugin on."""
    return await make_tenant(plugins=(*PLUGINS, *SAMPLE))


@pytest.fixture(scope="module")
async def agency(client: httpx.AsyncClient, home: ActingTenant) -> str:
    made = await client.post("/api/agencies", json={"name": "The agency"}, headers=home.headers)
    return str(made.json()["slug"])


async def call(
    client: httpx.AsyncClient, case: RouteCase, url: str, headers: dict[str, str], body: bytes | None = UNREADABLE
) -> httpx.Response:
    typed = {**headers, "content-type": "application/json"} if body else headers
    return await client.request(case.method, url, content=body, headers=typed)


async def person(installation: Runtime, tenant_id: UUID | None = None, role: str = "viewer") -> tuple[UUID, str]:
    """A new user, perhaps a member, and their access token."""
    async with installation.database.control() as conn:
        user_id = await add_person(conn, f"{uuid4()}@example.com", "a long enough pass phrase", tenant_id, role)
    return user_id, await access_token(installation, user_id)


def test_the_table_holds_every_class_and_every_plugin(cases: list[RouteCase], installation: Runtime) -> None:
    assert len(cases) > 90
    assert {case.access.kind for case in cases} == {"public", "user", "tenant", "agency", "browser"}
    with_routes = {plugin.slug for plugin in installation.registry.plugins if plugin.declared.routes}
    assert {case.plugin for case in cases} >= with_routes | set(installation.registry.connectors)


def test_everything_of_a_plugin_is_gated_by_it(cases: list[RouteCase]) -> None:
    ungated = [case for case in cases if case.plugin and case.access.plugin != case.plugin]
    assert [case for case in ungated if case.access.kind != "public"] == []
    assert all(case.url("x").startswith(("/api/public/", "/share/")) for case in ungated), (
        "the public areas ask for the tenant of a site or of a link"
    )


async def test_strangers_pass_public_routes_only(
    client: httpx.AsyncClient, cases: list[RouteCase], home: ActingTenant, agency: str
) -> None:
    faults = Faults()
    for case in cases:
        for headers in ({}, {"authorization": "Bearer csk_nobody"}, {"cookie": "__Host-cs_session=nobody"}):
            kind, url = case.access.kind, case.url(home.tenant.slug, agency)
            if kind == "public":
                answer = await call(client, case, url, {}, None)
                passed = answer.status_code not in {401, 403} or case.operation in ANSWERS_401_ITSELF
                faults.expect(passed and answer.status_code < 500, case, answer, "stranger")
                break
            answer = await call(client, case, url, {**headers, "x-tenant": home.tenant.slug})
            to_login = kind == "browser" and "authorization" not in headers
            right = answer.status_code == (303 if to_login else 401)
            right &= answer.headers.get("location", "").startswith("/login?next=") or not to_login
            faults.expect(right, case, answer, f"stranger {headers}")
    faults.none_in(250)


async def test_a_member_of_another_tenant_finds_nothing(
    client: httpx.AsyncClient, cases: list[RouteCase], home: ActingTenant, agency: str, make_tenant: TenantMaker
) -> None:
    """Not even whether it is there: the answer is that for a tenant, or an agency, that does not exist."""
    other, faults = await make_tenant(plugins=(*PLUGINS, *SAMPLE)), Faults()
    for case in of_kind(cases, "tenant", "browser", "agency"):
        asked = []
        for tenant, of in ((home.tenant.slug, agency), (str(home.id), agency), ("absent", "absent")):
            headers = {"authorization": f"Bearer {other.access_token}", "x-tenant": tenant}
            asked.append(await call(client, case, case.url(tenant, of), headers))
        for answer in asked:
            faults.expect(answer.status_code == 404 and answer.content == asked[-1].content, case, answer, "other's")
    faults.none_in(200)


async def test_a_key_of_another_tenant_finds_nothing(
    client: httpx.AsyncClient, cases: list[RouteCase], home: ActingTenant, agency: str, make_tenant: TenantMaker
) -> None:
    faults = Faults()
    headers = {
        "authorization": f"Bearer {await every_scope(client, await make_tenant())}",
        "x-tenant": home.tenant.slug,
    }
    for case in of_kind(cases, "tenant", "browser"):
        answer = await call(client, case, case.url(home.tenant.slug, agency), headers)
        faults.expect(answer.status_code == 404, case, answer, "other's key")
    faults.none_in(70)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_what_is_declared_for_it_and_nothing_above(
    client: httpx.AsyncClient, cases: list[RouteCase], make_tenant: TenantMaker, installation: Runtime, role: str
) -> None:
    """As a member of a tenant, and the same as a member of its agency."""
    mine, faults = await make_tenant(plugins=(*PLUGINS, *SAMPLE)), Faults()
    made = await client.post("/api/agencies", json={"name": "Mine"}, headers=mine.headers)
    agency_slug, agency_id = made.json()["slug"], UUID(made.json()["id"])
    _, of_tenant = await person(installation, mine.id, role)
    user_id, of_agency = await person(installation)
    async with installation.database.control() as conn:
        await conn.execute("update tenants set agency_id = $1 where id = $2", agency_id, mine.id)
        await conn.execute(
            "insert into memberships (user_id, agency_id, role) values ($1, $2, $3)", user_id, agency_id, role
        )
    for case in of_kind(cases, "tenant", "browser", "agency"):
        enough = ROLES[role] >= ROLES[case.access.role]
        for token in (of_agency,) if case.access.kind == "agency" else (of_tenant, of_agency):
            headers = {"authorization": f"Bearer {token}", "x-tenant": mine.tenant.slug}
            answer = await call(client, case, case.url(mine.tenant.slug, agency_slug), headers)
            passed = answer.status_code not in {401, 403} or (enough and case.operation in ANSWERS_403_ITSELF)
            faults.expect(passed if enough else answer.status_code == 403, case, answer, role)
            faults.expect(answer.status_code < 500, case, answer, role)
    faults.none_in(150)


async def every_scope(client: httpx.AsyncClient, tenant: ActingTenant, but: str | None = None) -> str:
    """A key of the tenant with all scopes there are, ``but`` one."""
    known = (await client.get("/api/api-keys/scopes", headers=tenant.headers)).json()
    body = {"name": "key", "scopes": [scope for scope in known if scope != but][:50]}
    made = await client.post("/api/api-keys", json=body, headers=tenant.headers)
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


async def test_a_key_opens_what_its_scopes_name(
    client: httpx.AsyncClient, cases: list[RouteCase], agency: str, make_tenant: TenantMaker
) -> None:
    mine, faults = await make_tenant(plugins=(*PLUGINS, *SAMPLE)), Faults()
    everything = {"authorization": f"Bearer {await every_scope(client, mine)}"}
    wanted = {case.access.scope for case in cases if case.access.scope}
    lacking = {scope: {"authorization": f"Bearer {await every_scope(client, mine, scope)}"} for scope in wanted}
    for case in of_kind(cases, "tenant", "browser", "user", "agency"):
        url = case.url(mine.tenant.slug, agency)
        answer = await call(client, case, url, everything)
        opens = answer.status_code not in {401, 403} and answer.status_code < 500
        faults.expect(opens if case.access.scope else answer.status_code == 403, case, answer, "key with every scope")
        if case.access.scope:
            answer = await call(client, case, url, lacking[case.access.scope])
            faults.expect(answer.status_code == 403, case, answer, f"key without {case.access.scope}")
    faults.none_in(120)


@pytest.mark.parametrize("how", ["never turned on", "turned off", "withdrawn"])
async def test_nothing_of_a_plugin_is_there_for_a_tenant_that_does_not_have_it(
    client: httpx.AsyncClient, cases: list[RouteCase], installation: Runtime, make_tenant: TenantMaker, how: str
) -> None:
    """Byte for byte like a path that never was, for its owner and for a key with every scope."""
    tenant, faults = await make_tenant(plugins=() if how == "never turned on" else (*PLUGINS, *SAMPLE)), Faults()
    for plugin in (*PLUGINS, *SAMPLE):
        await without(tenant, plugin, how)
    key = {"authorization": f"Bearer {await every_scope(client, tenant)}"}
    on = {slug for slug in (*PLUGINS, *SAMPLE) if await installation.plugin_is_on(tenant.id, slug)}
    assert not on or how == "never turned on", "some are on for everybody"
    for case in cases:
        if case.plugin is None or case.plugin in on:
            continue
        url, site = case.url(tenant.tenant.slug), f"?site={tenant.site_key}"
        for headers in (tenant.headers, key):
            answer = await call(client, case, url + (site if case.access.kind == "public" else ""), headers)
            absent = await call(client, case, "/api/never-was", headers)
            right = answer.status_code == 404 and answer.content == absent.content and answer.headers == absent.headers
            faults.expect(right, case, answer, how)
    faults.none_in(20)


async def without(tenant: ActingTenant, plugin: str, how: str) -> None:
    column = {"turned off": "enabled", "withdrawn": "granted"}.get(how)
    if column:
        async with tenant.transaction() as conn:
            await conn.execute(
                f"update plugin_states set {column} = false where tenant_id = $1 and plugin = $2", tenant.id, plugin
            )


async def test_a_platform_that_was_withdrawn_cannot_be_connected(
    client: httpx.AsyncClient, installation: Runtime, make_tenant: TenantMaker
) -> None:
    """Its form and its connecting are open to a tenant that has it off, because connecting turns it on."""
    off, withdrawn = await make_tenant(plugins=PLUGINS), await make_tenant(plugins=(*PLUGINS, *SAMPLE))
    for slug in installation.registry.connectors:
        await without(off, slug, "turned off")
        await without(withdrawn, slug, "withdrawn")
        for method in ("GET", "POST"):
            open_to_off = await client.request(method, f"/api/{slug}/connect", json={}, headers=off.headers)
            refused = await client.request(method, f"/api/{slug}/connect", json={}, headers=withdrawn.headers)
            assert (open_to_off.status_code != 404, refused.status_code) == (True, 404), (method, slug, refused.text)


async def test_the_description_of_the_api_says_who_may_call_and_what_is_refused(
    client: httpx.AsyncClient, cases: list[RouteCase]
) -> None:
    """The problems of each route's class, each as a problem document; nothing undescribed, unnamed or untagged."""
    schema = (await client.get(f"{SCHEMA_PATH}/openapi.json")).json()
    operations = {
        (method.upper(), path): what for path, methods in schema["paths"].items() for method, what in methods.items()
    }
    access = {(case.method, case.path or "/"): case.access for case in cases}
    assert len(operations) > 70
    assert len({what["operationId"] for what in operations.values()}) == len(operations)
    for name, what in operations.items():
        assert what["summary"] and what["tags"], name
        refused = {int(status): answer for status, answer in what["responses"].items() if int(status) >= 400}
        public = access[name].kind == "public"
        assert ({401, 403} <= set(refused)) != public, name
        assert (what.get("security") == [{"bearer": []}]) != public, name
        assert 404 in refused or access[name].kind not in {"tenant", "agency"}, name
        assert "requestBody" not in what or {400, 422} <= set(refused), name
        for answer in refused.values():
            [(media_type, content)] = answer["content"].items()
            assert (media_type, content["schema"]["$ref"]) == (
                "application/problem+json", "#/components/schemas/Problem",
            ), name  # fmt: skip
