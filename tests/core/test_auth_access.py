"""Who may do what: roles, the tenant of a request, strangers, agencies, API keys."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from litestar import Litestar, get

from coursesignal.auth.access import check_routes, public
from coursesignal.errors import ConfigurationError
from coursesignal.plugin import uuid7
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.people import access_token, add_person

PASSWORD = "a long enough pass phrase"


def bearer(token: str, tenant: str | None = None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **({"x-tenant": tenant} if tenant else {})}


async def member(runtime: Runtime, tenant: ActingTenant, role: str) -> dict[str, str]:
    """The headers of a new member of the tenant."""
    async with runtime.database.control() as conn:
        user = await add_person(conn, f"{uuid7()}@example.com", PASSWORD, tenant.id, role)
    return bearer(await access_token(runtime, user))


def test_an_application_with_a_route_that_declares_no_access_does_not_start() -> None:
    @get("/declared", opt=public())
    async def declared() -> None: ...

    @get("/open")
    async def forgotten() -> None: ...

    check_routes(Litestar([declared], openapi_config=None))
    with pytest.raises(ConfigurationError, match="GET /open"):
        check_routes(Litestar([declared, forgotten], openapi_config=None))


async def test_the_only_tenant_need_not_be_named(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    mine = await make_tenant()
    answer = await client.get("/api/script/info", headers=bearer(mine.access_token))
    assert answer.status_code == 200
    assert answer.json()["siteKey"] == mine.site_key


async def test_of_several_tenants_one_must_be_named_by_slug_or_id(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    mine = await make_tenant()
    made = await client.post("/api/tenants", json={"name": "Second"}, headers=bearer(mine.access_token))
    assert made.status_code == 201, made.text
    unnamed = await client.get("/api/script/info", headers=bearer(mine.access_token))
    assert unnamed.status_code == 400
    assert "X-Tenant" in unnamed.json()["title"]
    for name in (mine.tenant.slug, str(mine.id)):
        named = await client.get("/api/script/info", headers=bearer(mine.access_token, name))
        assert named.json()["siteKey"] == mine.site_key


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/script/info"),
        ("GET", "/api/audit"),
        ("GET", "/api/api-keys"),
        ("POST", "/api/api-keys"),
        ("GET", "/api/analytics/summary"),
        ("GET", "/api/plugins"),
    ],
)
async def test_somebody_elses_tenant_is_answered_like_an_absent_one(
    client: httpx.AsyncClient, make_tenant: TenantMaker, method: str, path: str
) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    answers = [
        await client.request(method, path, headers=bearer(mine.access_token, name))
        for name in (theirs.tenant.slug, str(theirs.id), "absent", str(uuid7()), "x'--")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


async def test_in_a_path_too(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    for suffix in ("", "/members"):
        answers = [
            await client.get(f"/api/tenants/{name}{suffix}", headers=bearer(mine.access_token))
            for name in (theirs.tenant.slug, str(theirs.id), "absent", "%00", "a%00b")
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1


async def test_the_tenant_in_the_path_counts_and_not_the_header(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    headers = bearer(mine.access_token, mine.tenant.slug)
    assert (await client.get(f"/api/tenants/{theirs.tenant.slug}", headers=headers)).status_code == 404
    headers = bearer(mine.access_token, theirs.tenant.slug)
    assert (await client.get(f"/api/tenants/{mine.tenant.slug}", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("viewer", {"read"}), ("member", {"read"}), ("admin", {"read", "admin"}), ("owner", {"read", "admin"})],
)
async def test_each_role_may_do_what_it_says(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime, role: str, allowed: set[str]
) -> None:
    tenant = await make_tenant()
    headers = await member(installation, tenant, role)
    calls: dict[str, tuple[str, str, Any]] = {
        "read": ("GET", f"/api/tenants/{tenant.tenant.slug}", None),
        "admin": ("PATCH", f"/api/tenants/{tenant.tenant.slug}", {"name": "Renamed"}),
    }
    for what, (method, path, body) in calls.items():
        answer = await client.request(method, path, json=body, headers=headers)
        assert answer.status_code == (200 if what in allowed else 403), (what, answer.text)


async def test_who_was_removed_a_moment_ago_is_a_stranger(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    tenant = await make_tenant()
    async with installation.database.control() as conn:
        user = await add_person(conn, f"{uuid7()}@example.com", PASSWORD, tenant.id, "admin")
    headers = bearer(await access_token(installation, user), tenant.tenant.slug)
    assert (await client.get("/api/audit", headers=headers)).status_code == 200
    removed = await client.delete(f"/api/tenants/{tenant.tenant.slug}/members/{user}", headers=tenant.headers)
    assert removed.status_code == 204
    assert (await client.get("/api/audit", headers=headers)).status_code == 404


async def test_an_agencys_people_have_their_role_on_its_tenants_until_they_are_removed(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    boss = await make_tenant()
    outsider = await make_tenant()
    agency = (await client.post("/api/agencies", json={"name": "Bright Agency"}, headers=boss.headers)).json()
    made = await client.post(f"/api/agencies/{agency['slug']}/tenants", json={"name": "Shop"}, headers=boss.headers)
    shop = made.json()
    async with installation.database.control() as conn:
        helper = await add_person(conn, f"{uuid7()}@example.com", PASSWORD)
        await conn.execute(
            "insert into memberships (user_id, agency_id, role) values ($1, $2, 'viewer')", helper, agency["id"]
        )
    headers = bearer(await access_token(installation, helper), shop["slug"])
    assert (await client.get("/api/script/info", headers=headers)).status_code == 200
    assert (await client.get("/api/audit", headers=headers)).status_code == 403, "a viewer of the agency is one there"
    assert (
        await client.get("/api/script/info", headers=bearer(outsider.access_token, shop["slug"]))
    ).status_code == 404

    removed = await client.delete(f"/api/agencies/{agency['slug']}/members/{helper}", headers=boss.headers)
    assert removed.status_code == 204
    gone = await client.get("/api/script/info", headers=headers)
    absent = await client.get("/api/script/info", headers={**headers, "x-tenant": "absent"})
    assert (gone.status_code, gone.content) == (404, absent.content)


async def test_an_archived_tenant_is_absent_for_people_and_keys(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    tenant = await make_tenant()
    made = await client.post("/api/api-keys", json={"name": "k", "scopes": ["tracking:read"]}, headers=tenant.headers)
    key = made.json()["key"]
    assert (await client.get("/api/script/info", headers=bearer(key))).status_code == 200
    async with installation.database.control() as conn:
        await conn.execute("update tenants set status = 'archived' where id = $1", tenant.id)
    assert (await client.get("/api/script/info", headers=tenant.headers)).status_code == 404
    assert (await client.get("/api/script/info", headers=bearer(key))).status_code == 401


async def test_an_api_key_may_what_its_scopes_say_in_its_own_tenant(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    made = await client.post(
        "/api/api-keys", json={"name": "Reports", "scopes": ["analytics:read", "tenant:read"]}, headers=mine.headers
    )
    assert made.status_code == 201, made.text
    assert set(made.json()) == {"id", "name", "scopes", "key"}
    key = made.json()["key"]
    assert key.startswith("csk_")

    def asks(method: str, path: str, tenant: str | None = None, **options: Any) -> Any:
        return client.request(method, path, headers=bearer(key, tenant), **options)

    assert (await asks("GET", f"/api/tenants/{mine.tenant.slug}")).status_code == 200
    assert (await asks("GET", f"/api/tenants/{mine.tenant.slug}", mine.tenant.slug)).status_code == 200
    denied = await asks("GET", "/api/script/info")
    assert denied.status_code == 403 and "tracking:read" in denied.json()["title"]
    assert (await asks("PATCH", f"/api/tenants/{mine.tenant.slug}", json={"name": "x"})).status_code == 403
    absent = await asks("GET", "/api/tenants/absent")
    foreign = await asks("GET", f"/api/tenants/{theirs.tenant.slug}")
    assert (absent.status_code, foreign.status_code) == (404, 404)
    assert absent.content == foreign.content
    assert (await asks("GET", "/api/script/info", theirs.tenant.slug)).status_code == 404
    for method, path in (
        ("GET", "/api/auth/me"), ("GET", "/api/tenants"), ("POST", "/api/tenants"), ("GET", "/api/api-keys"),
        ("POST", "/api/api-keys"), ("GET", "/api/audit"), ("GET", f"/api/tenants/{mine.tenant.slug}/members"),
        ("GET", "/api/agencies"),
    ):  # fmt: skip
        assert (await asks(method, path)).status_code == 403, (method, path)


async def test_a_revoked_key_is_worth_nothing_at_once(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    mine = await make_tenant()
    made = (
        await client.post("/api/api-keys", json={"name": "k", "scopes": ["tracking:read"]}, headers=mine.headers)
    ).json()
    assert (await client.get("/api/script/info", headers=bearer(made["key"]))).status_code == 200
    [listed] = (await client.get("/api/api-keys", headers=mine.headers)).json()
    assert listed["id"] == made["id"] and made["key"].startswith(listed["prefix"])
    assert "key" not in listed and listed["lastUsedAt"]
    assert (await client.delete(f"/api/api-keys/{made['id']}", headers=mine.headers)).status_code == 204
    assert (await client.get("/api/script/info", headers=bearer(made["key"]))).status_code == 401
    assert (await client.delete(f"/api/api-keys/{made['id']}", headers=mine.headers)).status_code == 404
    assert (await client.get("/api/api-keys", headers=mine.headers)).json() == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "k", "scopes": ["everything"]}, "scopes.0"),
        ({"name": "k", "scopes": ["analytics:read", "nosuch:read"]}, "scopes.1"),
        ({"name": "k", "scopes": ["analytics:read", 7]}, "scopes.1"),
        ({"name": "k", "scopes": "analytics:read"}, "scopes"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "", "scopes": ["analytics:read"]}, "name"),
        ({"name": "k"}, "scopes"),
    ],
)
async def test_a_key_with_a_scope_that_does_not_exist_is_refused(
    client: httpx.AsyncClient, make_tenant: TenantMaker, body: Any, path: str
) -> None:
    mine = await make_tenant()
    answer = await client.post("/api/api-keys", json=body, headers=mine.headers)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


async def test_another_tenants_key_cannot_be_seen_or_revoked(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    made = await client.post("/api/api-keys", json={"name": "k", "scopes": ["tracking:read"]}, headers=theirs.headers)
    foreign = await client.delete(f"/api/api-keys/{made.json()['id']}", headers=mine.headers)
    absent = await client.delete(f"/api/api-keys/{uuid7()}", headers=mine.headers)
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert (await client.get("/api/script/info", headers=bearer(made.json()["key"]))).status_code == 200
