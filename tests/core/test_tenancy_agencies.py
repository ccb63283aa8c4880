"""Agencies through HTTP: their people, their tenants, and which plugins each tenant may use."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.people import mailed_token

PASSWORD = "a long enough pass phrase"


@pytest.fixture
async def boss(make_tenant: TenantMaker, installation: Runtime) -> ActingTenant:
    async with installation.database.control() as conn:
        await conn.execute("delete from rate_limits")
    return await make_tenant()


@pytest.fixture
async def agency(client: httpx.AsyncClient, boss: ActingTenant) -> str:
    """The address of a new agency of the boss."""
    made = await client.post("/api/agencies", json={"name": "North & Light"}, headers=boss.headers)
    assert made.status_code == 201, made.text
    return f"/api/agencies/{made.json()['slug']}"


def bearer(token: str, tenant: str = "") -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **({"x-tenant": tenant} if tenant else {})}


async def open_shop(client: httpx.AsyncClient, agency: str, boss: ActingTenant, **more: str) -> dict[str, Any]:
    made = await client.post(f"{agency}/tenants", json={"name": "Shop", **more}, headers=boss.headers)
    assert made.status_code == 201, made.text
    shop: dict[str, Any] = made.json()
    return shop


async def joins(
    client: httpx.AsyncClient, installation: Runtime, agency: str, boss: ActingTenant, role: str
) -> dict[str, Any]:
    """Somebody new who was invited, accepted and logged in: the answer to the login."""
    who = f"{uuid4().hex[:12]}@example.com"
    invited = await client.post(f"{agency}/members", json={"email": who, "role": role}, headers=boss.headers)
    assert invited.status_code == 201, invited.text
    body = {"token": await mailed_token(installation, who), "password": PASSWORD}
    joined = await client.post("/api/auth/accept-invite", json=body)
    assert (joined.status_code, joined.json()["kind"], joined.json()["role"]) == (200, "agency", role)
    login = await client.post("/api/auth/login", json={"email": who, "password": PASSWORD})
    found: dict[str, Any] = login.json()
    return found


def fields(answer: httpx.Response, status: int = 422) -> list[str]:
    assert answer.status_code == status, answer.text
    return [error["path"] for error in answer.json()["errors"]]


async def test_an_agency_is_founded_and_found(client: httpx.AsyncClient, boss: ActingTenant) -> None:
    slug = f"north-{uuid4().hex[:8]}"
    made = await client.post("/api/agencies", json={"name": "North", "slug": slug}, headers=boss.headers)
    assert made.status_code == 201
    assert made.json() == {"id": made.json()["id"], "slug": slug, "name": "North", "role": "owner"}
    assert (await client.get("/api/agencies", headers=boss.headers)).json() == [made.json()]
    assert (await client.get(f"/api/agencies/{slug}", headers=boss.headers)).json() == made.json()
    assert (await client.get("/api/auth/me", headers=boss.headers)).json()["agencies"] == [made.json()]
    again = await client.post("/api/agencies", json={"name": "North", "slug": slug}, headers=boss.headers)
    assert fields(again, 409) == ["slug"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"name": 5}, "name"),
        ({"name": "x", "slug": "Ä"}, "slug"), ({"name": "x", "owner": "me"}, "owner"),
    ],
)  # fmt: skip
async def test_a_wrong_agency_is_named(
    client: httpx.AsyncClient, boss: ActingTenant, body: dict[str, Any], path: str
) -> None:
    assert fields(await client.post("/api/agencies", json=body, headers=boss.headers)) == [path]


async def test_its_tenants_belong_to_its_people_each_with_their_agency_role(
    client: httpx.AsyncClient, installation: Runtime, agency: str, boss: ActingTenant
) -> None:
    shop = await open_shop(client, agency, boss, currency="SEK", timeZone="Europe/Stockholm")
    assert (shop["agency"], shop["role"], shop["currency"]) == (agency.rpartition("/")[2], "owner", "SEK")
    assert (await client.get(f"{agency}/tenants", headers=boss.headers)).json() == [shop]
    helper = await joins(client, installation, agency, boss, "member")
    assert [(tenant["slug"], tenant["role"]) for tenant in helper["tenants"]] == [(shop["slug"], "member")]
    headers = bearer(helper["accessToken"])
    assert (await client.get("/api/script/info", headers=headers)).status_code == 200, "the shop has a website at once"
    assert (await client.get(f"{agency}/tenants", headers=headers)).json() == [{**shop, "role": "member"}]
    refused = await client.post(f"{agency}/tenants", json={"name": "Own shop"}, headers=headers)
    assert refused.status_code == 403
    [line] = [
        line
        for line in (await client.get(f"/api/tenants/{shop['slug']}/members", headers=headers)).json()
        if line["email"] == helper["user"]["email"]
    ]
    assert (line["via"], line["role"]) == ("agency", "member")


async def test_who_is_in_the_agency_and_in_the_tenant_has_the_higher_role(
    client: httpx.AsyncClient, installation: Runtime, agency: str, boss: ActingTenant
) -> None:
    shop = await open_shop(client, agency, boss)
    helper = await joins(client, installation, agency, boss, "viewer")
    who = helper["user"]["email"]
    await client.post(
        f"/api/tenants/{shop['slug']}/members", json={"email": who, "role": "admin"}, headers=bearer(boss.access_token)
    )
    await client.post("/api/auth/accept-invite", json={"token": await mailed_token(installation, who)})
    headers = bearer(helper["accessToken"])
    assert (await client.get(f"/api/tenants/{shop['slug']}", headers=headers)).json()["role"] == "admin"
    assert (await client.get("/api/audit", headers=headers)).status_code == 200


async def test_members_change_roles_and_leave_and_the_last_owner_stays(
    client: httpx.AsyncClient, installation: Runtime, agency: str, boss: ActingTenant
) -> None:
    helper = await joins(client, installation, agency, boss, "viewer")
    path = f"{agency}/members/{helper['user']['id']}"
    changed = await client.patch(path, json={"role": "admin"}, headers=boss.headers)
    assert (changed.status_code, changed.json()["role"]) == (200, "admin")
    headers, owner = bearer(helper["accessToken"]), f"{agency}/members/{boss.owner_id}"
    assert (await client.patch(owner, json={"role": "viewer"}, headers=headers)).status_code == 403
    assert (await client.delete(owner, headers=headers)).status_code == 403
    assert (await client.delete(owner, headers=boss.headers)).status_code == 409
    everybody = (await client.get(f"{agency}/members", headers=headers)).json()
    assert {line["email"]: line["role"] for line in everybody} == {
        boss.email: "owner",
        helper["user"]["email"]: "admin",
    }
    assert (await client.delete(path, headers=headers)).status_code == 204
    assert (await client.get(agency, headers=headers)).status_code == 404


async def test_a_grant_decides_what_a_tenant_may_turn_on(
    client: httpx.AsyncClient, agency: str, boss: ActingTenant, installation: Runtime
) -> None:
    shop = await open_shop(client, agency, boss)
    path, headers = f"{agency}/tenants/{shop['slug']}/grants", bearer(boss.access_token, shop["slug"])
    grants = (await client.get(path, headers=boss.headers)).json()
    assert {grant["plugin"] for grant in grants} == {plugin.slug for plugin in installation.registry.plugins}
    assert all(set(grant) == {"plugin", "name", "granted"} and grant["granted"] for grant in grants)

    async def may_use_launches() -> tuple[int, int, bool]:
        turned_on = await client.put("/api/plugins/launches", json={"enabled": True}, headers=headers)
        used = await client.get("/api/launches", headers=headers)
        found = (await client.get("/api/plugins", headers=headers)).json()
        [granted] = [plugin["granted"] for plugin in found if plugin["slug"] == "launches"] or [False]
        return turned_on.status_code, used.status_code, granted

    assert await may_use_launches() == (200, 200, True)
    withdrawn = await client.put(f"{path}/launches", json={"granted": False}, headers=boss.headers)
    assert {grant["plugin"]: grant["granted"] for grant in withdrawn.json()}["launches"] is False
    turned_on, used, granted = await may_use_launches()
    assert (used, granted) == (404, False)
    assert turned_on in {403, 404, 409, 422}
    both = [{"plugin": "launches", "granted": True}, {"plugin": "email", "granted": False}]
    changed = {
        grant["plugin"]: grant["granted"] for grant in (await client.put(path, json=both, headers=boss.headers)).json()
    }
    assert (changed["launches"], changed["email"]) == (True, False)
    assert (await client.get("/api/launches", headers=headers)).status_code == 200, "what the tenant decided is kept"
    audit = (await client.get("/api/audit", headers=headers)).json()["items"]
    said = [(entry["action"], entry["subject"]) for entry in audit if entry["action"].startswith("plugin.")]
    assert {("plugin.withdrawn", "launches"), ("plugin.granted", "launches"), ("plugin.withdrawn", "email")} <= set(
        said
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([{"plugin": "nosuch", "granted": True}], "0.plugin"),
        ([{"plugin": "email", "granted": True}, {"plugin": "\x00", "granted": True}], "1.plugin"),
        ([{"plugin": "email", "granted": "perhaps"}], "0.granted"),
        ([{"plugin": "email"}], "0.granted"),
        ([{"plugin": "email", "granted": True, "until": "then"}], "0.until"),
        ({"plugin": "email", "granted": True}, ""),
    ],
)
async def test_a_wrong_grant_is_named_and_changes_nothing(
    client: httpx.AsyncClient, agency: str, boss: ActingTenant, body: Any, path: str
) -> None:
    shop = await open_shop(client, agency, boss)
    url = f"{agency}/tenants/{shop['slug']}/grants"
    before = (await client.get(url, headers=boss.headers)).json()
    assert fields(await client.put(url, json=body, headers=boss.headers)) == [path]
    assert (await client.get(url, headers=boss.headers)).json() == before


async def test_an_agency_grants_to_its_own_tenants_only(
    client: httpx.AsyncClient, agency: str, boss: ActingTenant, make_tenant: TenantMaker
) -> None:
    """Not even to one that its owner owns without the agency."""
    stranger = await make_tenant()
    absent = await client.get(f"{agency}/tenants/absent/grants", headers=boss.headers)
    for slug in (stranger.tenant.slug, str(stranger.id), boss.tenant.slug, "%00"):
        url = f"{agency}/tenants/{slug}/grants"
        for answer in (
            await client.get(url, headers=boss.headers),
            await client.put(f"{url}/email", json={"granted": False}, headers=boss.headers),
        ):
            assert (answer.status_code, answer.content) == (404, absent.content)
