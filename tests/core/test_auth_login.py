"""Signing up, confirming, logging in and out, and what strangers learn from it: nothing."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

PASSWORD = "a long enough pass phrase"
Mails = Callable[[str], Awaitable[list[str]]]


@pytest.fixture(scope="module")
def mails(installation: Runtime) -> Mails:
    """The texts of the mails to an address, oldest first."""

    async def read(to: str) -> list[str]:
        await installation.mailer.deliver_due()
        found = []
        for path in sorted(installation.settings.mail_dir.glob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            body = message.get_body(("plain",))
            assert body is not None
            if message["to"] == to:
                found.append(str(body.get_content()))
        return found

    return read


def token_in(text: str) -> str:
    found = re.search(r"http://coursesignal\.test/[a-z-]+\?token=([\w-]+)", text)
    assert found, text
    return found.group(1)


@pytest.fixture(autouse=True)
async def fresh_limits(installation: Runtime) -> None:
    async with installation.database.control() as conn:
        await conn.execute("delete from rate_limits")


async def sign_up(client: httpx.AsyncClient, mails: Mails, who: str, password: str = PASSWORD) -> dict[str, Any]:
    body = {"email": who, "password": password, "tenantName": f"{who}'s courses"}
    assert (await client.post("/api/auth/signup", json=body)).status_code == 202
    verified = await client.post("/api/auth/verify-email", json={"token": token_in((await mails(who))[-1])})
    assert verified.status_code == 200, verified.text
    answer: dict[str, Any] = verified.json()
    return answer


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_confirmed_sign_up_owns_a_tenant_with_a_website(
    client: httpx.AsyncClient, mails: Mails, installation: Runtime
) -> None:
    answer = await sign_up(client, mails, "nora@example.com")
    assert set(answer) == {"accessToken", "expiresIn", "refreshToken", "user", "tenants"}
    assert answer["user"]["email"] == "nora@example.com"
    [tenant] = answer["tenants"]
    assert (tenant["role"], tenant["name"]) == ("owner", "nora@example.com's courses")
    me = await client.get("/api/auth/me", headers=bearer(answer["accessToken"]))
    assert me.json() == {"user": answer["user"], "tenants": answer["tenants"], "agencies": []}
    async with installation.database.tenant(tenant["id"]) as conn:
        key = await conn.fetchval("select public_key from sites where tenant_id = $1", tenant["id"])
        events = await conn.fetch("select name from outbox where tenant_id = $1 and kind = 'event'", tenant["id"])
    assert len(key) >= 22, "128 random bits"
    assert [event["name"] for event in events] == ["tenant_created"]


async def test_a_known_address_is_answered_like_an_unknown_one_and_its_owner_gets_a_mail(
    client: httpx.AsyncClient, mails: Mails
) -> None:
    await sign_up(client, mails, "known@example.com")
    body = {"email": "Known@Example.com", "password": "quite another pass phrase", "tenantName": "Mine"}
    known = await client.post("/api/auth/signup", json=body)
    unknown = await client.post("/api/auth/signup", json={**body, "email": "unknown@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.headers["content-type"] == unknown.headers["content-type"]
    assert "already" in (await mails("known@example.com"))[-1]
    login = {"email": "known@example.com", "password": "quite another pass phrase"}
    assert (await client.post("/api/auth/login", json=login)).status_code == 401


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"password": "short"}, "password"),
        ({"password": "password123"}, "password"),
        ({"password": "x" * 2000}, "password"),
        ({"email": "no address"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "two@example.com, three@example.com"}, "email"),
        ({"email": "x@example.com\r\nBcc: y@example.com"}, "email"),
        ({"email": 7}, "email"),
        ({"tenantName": ""}, "tenantName"),
        ({"tenantName": "two\nlines"}, "tenantName"),
        ({"role": "owner"}, "role"),
        ({"verified": True}, "verified"),
    ],
)
async def test_a_wrong_sign_up_is_refused_at_its_field(
    client: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    body = {"email": "wrong@example.com", "password": PASSWORD, "tenantName": "Courses", **change}
    answer = await client.post("/api/auth/signup", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/auth/login", json={"email": "x@example.com"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "password"


async def test_a_link_works_once_and_every_wrong_one_is_answered_alike(client: httpx.AsyncClient, mails: Mails) -> None:
    who = "once@example.com"
    await sign_up(client, mails, who)
    used = token_in((await mails(who))[-1])
    answers = [await client.post("/api/auth/verify-email", json={"token": token}) for token in (used, "never-was")]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.content for answer in answers}) == 1


async def test_each_link_brings_the_password_of_its_own_sign_up(client: httpx.AsyncClient, mails: Mails) -> None:
    """Whoever signs up first with somebody else's address gains nothing when the owner does too."""
    who = "victim@example.com"
    for password, name in (("the attacker's password", "Attack"), ("the victim's password", "Victim")):
        body = {"email": who, "password": password, "tenantName": name}
        assert (await client.post("/api/auth/signup", json=body)).status_code == 202
    theirs, mine = (token_in(text) for text in await mails(who))
    answer = await client.post("/api/auth/verify-email", json={"token": mine})
    assert [tenant["name"] for tenant in answer.json()["tenants"]] == ["Victim"]
    assert (await client.post("/api/auth/verify-email", json={"token": theirs})).status_code == 400
    login = {"email": who, "password": "the attacker's password"}
    assert (await client.post("/api/auth/login", json=login)).status_code == 401
    assert (
        await client.post("/api/auth/login", json={**login, "password": "the victim's password"})
    ).status_code == 200


async def test_every_wrong_pair_is_answered_with_one_text(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    known = await make_tenant()
    answers = [
        await client.post("/api/auth/login", json={"email": email, "password": password})
        for email, password in (
            (known.email, "wrong"),
            (known.email, ""),
            (known.email, "x" * 4000),
            ("nobody@example.com", known.password),
            ("no address at all", "x"),
            ("\u0000", "x\u0000"),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


async def test_the_address_may_be_spelled_in_capitals(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    known = await make_tenant()
    body = {"email": f" {known.email.upper()} ", "password": known.password}
    assert (await client.post("/api/auth/login", json=body)).status_code == 200


async def test_an_unconfirmed_address_is_told_only_to_who_knows_the_password(client: httpx.AsyncClient) -> None:
    who = "later@example.com"
    await client.post("/api/auth/signup", json={"email": who, "password": PASSWORD, "tenantName": "Later"})
    wrong = await client.post("/api/auth/login", json={"email": who, "password": "wrong"})
    right = await client.post("/api/auth/login", json={"email": who, "password": PASSWORD})
    assert wrong.status_code == 401
    assert right.status_code == 403
    assert right.json()["type"].endswith("email-unverified")


async def test_guessing_a_password_is_slowed_and_never_locks_the_account(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    known = await make_tenant()
    wrong, right = ({"email": known.email, "password": password} for password in ("wrong", known.password))
    for _ in range(8):
        assert (await client.post("/api/auth/login", json=wrong)).status_code == 401
    assert (await client.post("/api/auth/login", json=right)).status_code == 200, "the owner's slips are forgiven"
    codes = [(await client.post("/api/auth/login", json=wrong)).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    stopped = await client.post("/api/auth/login", json=right)
    assert stopped.status_code == 429
    assert 0 < int(stopped.headers["retry-after"]) <= 300
    async with installation.database.control() as conn:
        await conn.execute(
            "update rate_limits set window_start = window_start - interval '5 minutes' where bucket like 'login:%'"
        )
    assert (await client.post("/api/auth/login", json=right)).status_code == 200


async def test_the_count_of_a_limit_survives_in_parallel(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    import asyncio

    known = await make_tenant()
    body = {"email": known.email, "password": "wrong"}
    answers = await asyncio.gather(*(client.post("/api/auth/login", json=body) for _ in range(25)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(401) == 10 and codes.count(429) == 15


@pytest.mark.parametrize("path", ["signup", "request-reset"])
async def test_nobody_can_flood_a_mailbox(client: httpx.AsyncClient, path: str) -> None:
    body: dict[str, str] = {"email": f"flooded-{path}@example.com"}
    if path == "signup":
        body |= {"password": PASSWORD, "tenantName": "Flood"}
    answers = [await client.post(f"/api/auth/{path}", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_resetting_a_password_ends_every_session(client: httpx.AsyncClient, mails: Mails) -> None:
    who = "reset@example.com"
    before = await sign_up(client, mails, who)
    unknown = await client.post("/api/auth/request-reset", json={"email": "nobody@example.com"})
    known = await client.post("/api/auth/request-reset", json={"email": who})
    assert known.status_code == unknown.status_code == 202
    assert known.content == unknown.content
    assert await mails("nobody@example.com") == []
    token = token_in((await mails(who))[-1])

    weak = await client.post("/api/auth/reset-password", json={"token": token, "password": "short"})
    assert weak.status_code == 422, "a weak password does not use the link up"
    done = await client.post("/api/auth/reset-password", json={"token": token, "password": "my other pass phrase"})
    assert (done.status_code, done.content) == (204, b"")
    again = await client.post("/api/auth/reset-password", json={"token": token, "password": "a third pass phrase"})
    assert again.status_code == 400

    assert (await client.get("/api/auth/me", headers=bearer(before["accessToken"]))).status_code == 401
    assert (await client.post("/api/auth/refresh", json={"refreshToken": before["refreshToken"]})).status_code == 401
    assert (await client.post("/api/auth/login", json={"email": who, "password": PASSWORD})).status_code == 401
    login = await client.post("/api/auth/login", json={"email": who, "password": "my other pass phrase"})
    assert login.status_code == 200
    assert "was changed" in (await mails(who))[-1]


async def test_a_reset_link_expires(client: httpx.AsyncClient, mails: Mails, installation: Runtime) -> None:
    who = "expired@example.com"
    await sign_up(client, mails, who)
    await client.post("/api/auth/request-reset", json={"email": who})
    token = token_in((await mails(who))[-1])
    async with installation.database.control() as conn:
        await conn.execute("update auth_tokens set expires_at = now() - interval '1 second' where purpose = 'reset'")
    answer = await client.post("/api/auth/reset-password", json={"token": token, "password": "my other pass phrase"})
    assert answer.status_code == 400


async def test_changing_the_password_needs_the_current_one_and_ends_every_session(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    known = await make_tenant()
    login = {"email": known.email, "password": known.password}
    session = (await client.post("/api/auth/login", json=login)).json()
    headers = bearer(session["accessToken"])
    change = {"currentPassword": "wrong", "newPassword": "my other pass phrase"}
    wrong = await client.post("/api/auth/change-password", json=change, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "currentPassword")
    weak = {"currentPassword": known.password, "newPassword": "password123"}
    refused = await client.post("/api/auth/change-password", json=weak, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "newPassword")
    good = {"currentPassword": known.password, "newPassword": "my other pass phrase"}
    assert (await client.post("/api/auth/change-password", json=good, headers=headers)).status_code == 204
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    assert (await client.post("/api/auth/refresh", json={"refreshToken": session["refreshToken"]})).status_code == 401
    assert (await client.post("/api/auth/login", json=login)).status_code == 401


@pytest.mark.parametrize("how", ["access token", "refresh token", "both"])
async def test_logging_out_ends_the_session_at_once(
    client: httpx.AsyncClient, make_tenant: TenantMaker, how: str
) -> None:
    known = await make_tenant()
    login = {"email": known.email, "password": known.password}
    session, other = [(await client.post("/api/auth/login", json=login)).json() for _ in range(2)]
    headers = bearer(session["accessToken"]) if how != "refresh token" else {}
    body = {"refreshToken": session["refreshToken"]} if how != "access token" else None
    done = await client.post("/api/auth/logout", json=body, headers=headers)
    assert done.status_code == 204, done.text
    assert (await client.get("/api/auth/me", headers=bearer(session["accessToken"]))).status_code == 401
    assert (await client.post("/api/auth/refresh", json={"refreshToken": session["refreshToken"]})).status_code == 401
    assert (await client.get("/api/auth/me", headers=bearer(other["accessToken"]))).status_code == 200


async def test_logging_out_without_anything_is_no_mistake(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/auth/logout")).status_code == 204
    assert (await client.post("/api/auth/logout", json={})).status_code == 204
    assert (await client.post("/api/auth/logout", json={"refreshToken": "never-was"})).status_code == 204


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Bearer csk_unknown", "Bearer a.b.c"]
)
async def test_a_credential_that_is_none_is_401_with_one_text(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get("/api/auth/me", headers={"authorization": value})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.content == (await client.get("/api/auth/me")).content


async def test_mails_and_passwords_are_not_readable_in_the_database(
    client: httpx.AsyncClient, installation: Runtime, make_tenant: TenantMaker
) -> None:
    known: ActingTenant = await make_tenant()
    await client.post("/api/auth/request-reset", json={"email": known.email})
    login = (await client.post("/api/auth/login", json={"email": known.email, "password": known.password})).json()
    async with installation.database.control() as conn:
        rows = await conn.fetch("select m::text as m from mails m union all select s::text from auth_sessions s")
        hashes = [row[0] for row in await conn.fetch("select password_hash from users where password_hash is not null")]
    stored = "\n".join(row["m"] for row in rows)
    assert known.email not in stored and login["refreshToken"] not in stored
    assert all(text.startswith("$argon2id$") for text in hashes)
