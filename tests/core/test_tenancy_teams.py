"""Tenants and their people through HTTP: opening, changing, inviting, joining, leaving, and the record of all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.people import access_token, add_person, mailed_token, mails_to

PASSWORD = "a long enough pass phrase"
TENANT = {
    "id", "slug", "name", "role", "timeZone", "currency", "lookbackDays", "defaultModel", "halfLifeDays", "firstShare",
    "lastShare", "wFirstShare", "wOptInShare", "wLastShare", "countAutomation", "fallbackMatch",
    "checkoutPages", "emailAliases", "agency", "createdAt",
}  # fmt: skip


@pytest.fixture
async def mine(make_tenant: TenantMaker, installation: Runtime) -> ActingTenant:
    async with installation.database.control() as conn:
        await conn.execute("delete from rate_limits")
    return await make_tenant()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def somebody() -> str:
    return f"{uuid4().hex[:12]}@example.com"


async def member(installation: Runtime, tenant: ActingTenant, role: str) -> tuple[str, dict[str, str]]:
    """The id and the headers of a new member."""
    async with installation.database.control() as conn:
        user = await add_person(conn, somebody(), PASSWORD, tenant.id, role)
    return str(user), bearer(await access_token(installation, user))


def members_of(tenant: ActingTenant) -> str:
    return f"/api/tenants/{tenant.tenant.slug}/members"


async def invite(client: httpx.AsyncClient, tenant: ActingTenant, who: str, role: str = "member") -> httpx.Response:
    return await client.post(members_of(tenant), json={"email": who, "role": role}, headers=tenant.headers)


async def listed(client: httpx.AsyncClient, tenant: ActingTenant) -> dict[str, dict[str, Any]]:
    """The members and invitations by address."""
    answer = await client.get(members_of(tenant), headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return {line["email"]: line for line in answer.json()}


def fields(answer: httpx.Response, status: int = 422) -> list[str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["path"] for error in answer.json()["errors"]]


# -- tenants -----------------------------------------------------------------------------------------------------------


async def test_a_new_tenant_says_everything_it_starts_with(client: httpx.AsyncClient, mine: ActingTenant) -> None:
    made = await client.post("/api/tenants", json={"name": "Zoë's Öl-Malschule"}, headers=mine.headers)
    assert made.status_code == 201, made.text
    tenant = made.json()
    assert set(tenant) == TENANT
    assert (tenant["slug"], tenant["role"], tenant["timeZone"], tenant["currency"]) == (
        "zoes-ol-malschule", "owner", "UTC", "USD",
    )  # fmt: skip
    assert (tenant["lookbackDays"], tenant["agency"]) == (90, None)
    for name in (tenant["slug"], tenant["id"]):
        assert (await client.get(f"/api/tenants/{name}", headers=mine.headers)).json() == tenant
    all_of_mine = (await client.get("/api/tenants", headers=mine.headers)).json()
    assert {line["slug"] for line in all_of_mine} == {mine.tenant.slug, tenant["slug"]}
    assert all(set(line) == TENANT for line in all_of_mine)
    again = await client.post("/api/tenants", json={"name": "Zoë's Öl-Malschule"}, headers=mine.headers)
    assert again.json()["slug"].startswith("zoes-ol-malschule-"), "the same name gets an address of its own"


async def test_a_taken_slug_is_a_conflict_at_its_field(client: httpx.AsyncClient, mine: ActingTenant) -> None:
    body = {"name": "Copy", "slug": mine.tenant.slug}
    assert fields(await client.post("/api/tenants", json=body, headers=mine.headers), 409) == ["slug"]
    other = (await client.post("/api/tenants", json={"name": "Other"}, headers=mine.headers)).json()
    renamed = await client.patch(f"/api/tenants/{other['slug']}", json={"slug": mine.tenant.slug}, headers=mine.headers)
    assert fields(renamed, 409) == ["slug"]


async def test_what_is_given_changes_and_the_rest_stays(client: httpx.AsyncClient, mine: ActingTenant) -> None:
    path = f"/api/tenants/{mine.tenant.slug}"
    before = (await client.get(path, headers=mine.headers)).json()
    change = {
        "name": "Renamed", "timeZone": "Europe/Berlin", "currency": "EUR", "lookbackDays": 30, "defaultModel": "linear",
        "halfLifeDays": 3.5, "firstShare": 0.3, "lastShare": 0.3,
    }  # fmt: skip
    for name, value in change.items():
        answer = await client.patch(path, json={name: value}, headers=mine.headers)
        assert answer.status_code == 200, answer.text
        before[name] = value
        assert answer.json() == before
    moved = await client.patch(path, json={"slug": f"{mine.tenant.slug}-2"}, headers={**mine.headers, "x-tenant": ""})
    assert moved.json() == {**before, "slug": f"{mine.tenant.slug}-2"}
    assert (await client.get(path, headers=mine.headers)).status_code == 404
    assert (await client.get(path + "-2", headers=mine.headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": " "}, "name"), ({"name": "a\x00b"}, "name"), ({"name": "x" * 5000}, "name"), ({"name": ["x"]}, "name"),
        ({"slug": "No Slug"}, "slug"), ({"slug": str(uuid4())}, "slug"), ({"slug": "-x"}, "slug"), ({"slug": ""}, "slug"),
        ({"timeZone": "Mars/Base"}, "timeZone"), ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"currency": "usd"}, "currency"), ({"currency": "XXX"}, "currency"), ({"lookbackDays": 0}, "lookbackDays"),
        ({"lookbackDays": 10**30}, "lookbackDays"), ({"lookbackDays": 5000}, "lookbackDays"),
        ({"lookbackDays": "thirty"}, "lookbackDays"),
        ({"defaultModel": "magic"}, "defaultModel"), ({"halfLifeDays": 0}, "halfLifeDays"), ({"firstShare": 2}, "firstShare"),
        ({"firstShare": 0.7, "lastShare": 0.7}, "firstShare"), ({"wFirstShare": 0.5}, "wFirstShare"), ({"plan": "gold"}, "plan"),
    ],
)  # fmt: skip
async def test_a_wrong_setting_is_named(
    client: httpx.AsyncClient, mine: ActingTenant, body: dict[str, Any], path: str
) -> None:
    changed = await client.patch(f"/api/tenants/{mine.tenant.slug}", json=body, headers=mine.headers)
    assert fields(changed) == [path]


async def test_a_changed_window_has_every_credit_computed_again(client: httpx.AsyncClient, mine: ActingTenant) -> None:
    async def waiting() -> int:
        async with mine.transaction() as conn:
            found: int = await conn.fetchval(
                "select count(*) from outbox where tenant_id = $1 and name = 'core.recredit'", mine.id
            )
        return found

    path = f"/api/tenants/{mine.tenant.slug}"
    await client.patch(path, json={"lookbackDays": 90, "name": "Same window"}, headers=mine.headers)
    assert await waiting() == 0
    await client.patch(path, json={"lookbackDays": 7}, headers=mine.headers)
    assert await waiting() == 1


# -- members -----------------------------------------------------------------------------------------------------------


async def test_an_invited_stranger_joins_with_a_password_of_their_own(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    who = somebody()
    invited = await invite(client, mine, who, "viewer")
    assert invited.status_code == 201, invited.text
    assert set(invited.json()) == {"id", "email", "role", "status", "via", "since"}
    assert (await listed(client, mine))[who] == invited.json()
    assert (invited.json()["status"], invited.json()["role"]) == ("invited", "viewer")
    token = await mailed_token(installation, who)
    for password, path in ((None, "password"), ("short", "password")):
        answer = await client.post("/api/auth/accept-invite", json={"token": token, "password": password})
        assert fields(answer) == [path], "which does not use the invitation up"
    joined = await client.post("/api/auth/accept-invite", json={"token": token, "password": PASSWORD})
    assert joined.status_code == 200
    assert joined.json() == {
        "kind": "tenant", "slug": mine.tenant.slug, "name": mine.tenant.name, "role": "viewer", "email": who,
    }  # fmt: skip
    assert (
        await client.post("/api/auth/accept-invite", json={"token": token, "password": PASSWORD})
    ).status_code == 400
    login = (await client.post("/api/auth/login", json={"email": who, "password": PASSWORD})).json()
    assert login["tenants"] == [
        {"id": str(mine.id), "slug": mine.tenant.slug, "name": mine.tenant.name, "role": "viewer"}
    ]
    line = (await listed(client, mine))[who]
    assert (line["status"], line["id"], line["via"]) == ("active", login["user"]["id"], "direct")


async def test_who_has_an_account_keeps_their_password(
    client: httpx.AsyncClient, mine: ActingTenant, make_tenant: TenantMaker, installation: Runtime
) -> None:
    other = await make_tenant()
    await invite(client, mine, other.email.upper(), "admin")
    token = await mailed_token(installation, other.email)
    joined = await client.post("/api/auth/accept-invite", json={"token": token, "password": "somebody else's choice"})
    assert joined.json()["role"] == "admin"
    login = await client.post("/api/auth/login", json={"email": other.email, "password": other.password})
    assert {tenant["slug"]: tenant["role"] for tenant in login.json()["tenants"]} == {
        mine.tenant.slug: "admin", other.tenant.slug: "owner",
    }  # fmt: skip


async def test_a_newer_invitation_replaces_the_older_and_a_withdrawn_one_is_worthless(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    who = somebody()
    await invite(client, mine, who, "admin")
    first = await mailed_token(installation, who)
    newer = (await invite(client, mine, who, "viewer")).json()
    second = await mailed_token(installation, who)
    assert [line["role"] for line in (await listed(client, mine)).values() if line["email"] == who] == ["viewer"]
    assert (await client.delete(f"{members_of(mine)}/{newer['id']}", headers=mine.headers)).status_code == 204
    assert who not in await listed(client, mine)
    for token in (first, second, "never-was"):
        answer = await client.post("/api/auth/accept-invite", json={"token": token, "password": PASSWORD})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "link-spent")


async def test_nobody_joins_a_tenant_that_was_archived(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    who = somebody()
    await invite(client, mine, who)
    async with installation.database.control() as conn:
        await conn.execute("update tenants set status = 'archived' where id = $1", mine.id)
    body = {"token": await mailed_token(installation, who), "password": PASSWORD}
    archived = await client.post("/api/auth/accept-invite", json=body)
    unknown = await client.post("/api/auth/accept-invite", json={**body, "token": "never-was"})
    assert (archived.status_code, archived.content) == (400, unknown.content)


async def test_who_belongs_to_the_team_already_is_not_invited_again(
    client: httpx.AsyncClient, mine: ActingTenant
) -> None:
    assert (await invite(client, mine, mine.email)).status_code == 409


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"email": "nobody", "role": "member"}, "email"), ({"email": "a\x00@example.com"}, "email"),
        ({"email": 1}, "email"), ({"role": "member"}, "email"), ({"email": "x@example.com", "role": "king"}, "role"),
        ({"email": "x@example.com", "tenant": "other"}, "tenant"),
    ],
)  # fmt: skip
async def test_a_wrong_invitation_is_named(
    client: httpx.AsyncClient, mine: ActingTenant, body: dict[str, Any], path: str
) -> None:
    assert fields(await client.post(members_of(mine), json=body, headers=mine.headers)) == [path]


async def test_nobody_hands_out_changes_or_takes_a_role_above_their_own(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    _, admin = await member(installation, mine, "admin")
    viewer_id, viewer = await member(installation, mine, "viewer")
    path = members_of(mine)
    denied = [
        await client.post(path, json={"email": somebody(), "role": "owner"}, headers=admin),
        await client.patch(f"{path}/{viewer_id}", json={"role": "owner"}, headers=admin),
        await client.patch(f"{path}/{mine.owner_id}", json={"role": "viewer"}, headers=admin),
        await client.delete(f"{path}/{mine.owner_id}", headers=admin),
        await client.patch(f"{path}/{viewer_id}", json={"role": "admin"}, headers=viewer),
        await client.delete(f"{path}/{mine.owner_id}", headers=viewer),
    ]
    assert [answer.status_code for answer in denied] == [403] * 6
    raised = await client.patch(f"{path}/{viewer_id}", json={"role": "member"}, headers=admin)
    assert (raised.status_code, raised.json()["role"], raised.json()["id"]) == (200, "member", viewer_id)
    left = await client.delete(f"{path}/{viewer_id}", headers=viewer)
    assert left.status_code == 204, "everybody may leave"
    assert (await client.get(path, headers=viewer)).status_code == 404
    assert (await client.delete(f"{path}/{viewer_id}", headers=mine.headers)).status_code == 404


async def test_the_last_owner_stays(client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime) -> None:
    me = f"{members_of(mine)}/{mine.owner_id}"
    for answer in (
        await client.delete(me, headers=mine.headers),
        await client.patch(me, json={"role": "admin"}, headers=mine.headers),
    ):
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "last-owner")
    await member(installation, mine, "owner")
    assert (await client.patch(me, json={"role": "admin"}, headers=mine.headers)).status_code == 200


# -- the record --------------------------------------------------------------------------------------------------------


async def test_the_audit_log_says_who_did_what_newest_first_page_by_page(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    who, path = somebody(), f"/api/tenants/{mine.tenant.slug}"
    await client.patch(path, json={"name": "New name"}, headers=mine.headers)
    await invite(client, mine, who)
    token = await mailed_token(installation, who)
    await client.post("/api/auth/accept-invite", json={"token": token, "password": PASSWORD})
    scopes = ["analytics:read", "tenant:write"]
    key = (await client.post("/api/api-keys", json={"name": "Bot", "scopes": scopes}, headers=mine.headers)).json()
    await client.patch(path, json={"name": "By the bot"}, headers=bearer(key["key"]))
    await client.delete(f"/api/api-keys/{key['id']}", headers=mine.headers)
    shown = await client.get("/api/audit", headers=mine.headers)
    assert [(entry["action"], entry["actor"], entry["subject"]) for entry in shown.json()["items"]] == [
        ("api_key.revoked", mine.email, "Bot"),
        ("tenant.changed", f"API key {key['id']}", mine.tenant.slug),
        ("api_key.created", mine.email, "Bot"),
        ("member.joined", who, who),
        ("member.invited", mine.email, who),
        ("tenant.changed", mine.email, mine.tenant.slug),
    ]
    assert set(shown.json()["items"][0]) == {"id", "at", "actor", "action", "subject", "detail"}
    assert shown.json()["items"][-1]["detail"] == {"name": {"from": mine.tenant.name, "to": "New name"}}
    assert key["key"] not in shown.text and token not in shown.text
    pages, cursor = [], ""
    while cursor is not None:
        page = (await client.get("/api/audit", params={"limit": 4, "cursor": cursor}, headers=mine.headers)).json()
        pages.append(page["items"])
        cursor = page.get("nextCursor")
    assert [len(items) for items in pages] == [4, 2]
    assert pages[0] + pages[1] == shown.json()["items"]


@pytest.mark.parametrize(
    ("query", "path"), [({"cursor": "nonsense"}, "cursor"), ({"limit": "0"}, "limit"), ({"limit": "many"}, "limit")]
)
async def test_a_page_that_cannot_be_is_refused(
    client: httpx.AsyncClient, mine: ActingTenant, query: dict[str, str], path: str
) -> None:
    assert fields(await client.get("/api/audit", params=query, headers=mine.headers)) == [path]


# -- limits ------------------------------------------------------------------------------------------------------------


async def until_stopped(ask: Callable[[], Awaitable[httpx.Response]], limit: int) -> tuple[httpx.Response, int]:
    """The first 429 and how many passed before it: ``limit``, or up to twice that when a new window began meanwhile."""
    for allowed in range(2 * limit + 1):
        answer = await ask()
        if answer.status_code == 429:
            assert allowed >= limit
            return answer, allowed
    raise AssertionError(f"{2 * limit + 1} calls passed")


async def test_nobody_is_buried_under_invitations(
    client: httpx.AsyncClient, mine: ActingTenant, installation: Runtime
) -> None:
    who = somebody()
    stopped, allowed = await until_stopped(lambda: invite(client, mine, who), 5)
    assert stopped.headers["content-type"] == "application/problem+json"
    assert len(await mails_to(installation, who)) == allowed


@pytest.mark.parametrize(
    ("path", "body", "limit"),
    [
        ("/api/tenants", {"name": "Many"}, 20),
        ("/api/agencies", {"name": "Many"}, 10),
        ("/api/auth/change-password", {"currentPassword": "wrong", "newPassword": "my other pass phrase"}, 10),
        ("/api/auth/verify-email", {"token": "guess"}, 60),
        ("/api/auth/reset-password", {"token": "guess", "password": PASSWORD}, 60),
        ("/api/auth/accept-invite", {"token": "guess"}, 60),
        ("/api/auth/refresh", {"refreshToken": "guess"}, 300),
    ],
)
async def test_what_could_be_guessed_or_piled_up_is_limited(
    client: httpx.AsyncClient, mine: ActingTenant, path: str, body: dict[str, str], limit: int
) -> None:
    stopped, _ = await until_stopped(lambda: client.post(path, json=body, headers=mine.headers), limit)
    assert stopped.headers["content-type"] == "application/problem+json"
    assert 0 < int(stopped.headers["retry-after"]) <= 3600
