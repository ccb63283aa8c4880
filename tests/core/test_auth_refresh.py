"""Refresh tokens: rotated, shared by two tabs for ten seconds, and a theft ends the family."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker


@pytest.fixture
async def someone(make_tenant: TenantMaker, installation: Runtime) -> ActingTenant:
    async with installation.database.control() as conn:
        await conn.execute("delete from rate_limits")
    return await make_tenant()


async def log_in(client: httpx.AsyncClient, who: ActingTenant) -> dict[str, Any]:
    answer = await client.post("/api/auth/login", json={"email": who.email, "password": who.password})
    found: dict[str, Any] = answer.json()
    return found


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/auth/refresh", json={"refreshToken": token})


async def works(client: httpx.AsyncClient, access_token: str) -> bool:
    answer = await client.get("/api/auth/me", headers={"authorization": f"Bearer {access_token}"})
    return answer.status_code == 200


async def grace_is_over(installation: Runtime) -> None:
    async with installation.database.control() as conn:
        await conn.execute("update auth_sessions set rotated_at = rotated_at - interval '11 seconds'")


async def test_a_refresh_gives_new_tokens(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    first = await log_in(client, someone)
    answer = await refresh(client, first["refreshToken"])
    assert answer.status_code == 200
    second = answer.json()
    assert set(second) == {"accessToken", "expiresIn", "refreshToken"}
    assert second["refreshToken"] != first["refreshToken"]
    assert 0 < second["expiresIn"] <= 3600
    assert await works(client, second["accessToken"])
    assert (await refresh(client, second["refreshToken"])).status_code == 200


async def test_two_refreshes_at_once_get_the_same_next_token(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    first = await log_in(client, someone)
    answers = await asyncio.gather(*(refresh(client, first["refreshToken"]) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["refreshToken"] for answer in answers}) == 1
    assert (await refresh(client, answers[0].json()["refreshToken"])).status_code == 200


async def test_after_the_grace_an_old_token_ends_the_family_and_its_owner_is_told(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    first, bystander = await log_in(client, someone), await log_in(client, someone)
    second = (await refresh(client, first["refreshToken"])).json()
    await grace_is_over(installation)
    assert (await refresh(client, first["refreshToken"])).status_code == 401
    assert (await refresh(client, second["refreshToken"])).status_code == 401, "the newest token died too"
    assert not await works(client, second["accessToken"])
    assert await works(client, bystander["accessToken"]), "another login of the same person goes on"
    await installation.mailer.deliver_due()
    mails = [path.read_text() for path in installation.settings.mail_dir.glob("*.eml")]
    assert any(someone.email in mail and "ended one of your" in mail for mail in mails)


async def test_the_token_before_the_previous_one_ends_the_family_even_at_once(
    client: httpx.AsyncClient, someone: ActingTenant
) -> None:
    first = await log_in(client, someone)
    second = (await refresh(client, first["refreshToken"])).json()
    third = (await refresh(client, second["refreshToken"])).json()
    assert (await refresh(client, first["refreshToken"])).status_code == 401
    assert (await refresh(client, third["refreshToken"])).status_code == 401


async def test_an_expired_family_is_not_refreshed(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    first = await log_in(client, someone)
    async with installation.database.control() as conn:
        await conn.execute(
            "update auth_sessions set expires_at = now() - interval '1 second' where user_id = $1", someone.owner_id
        )
    assert (await refresh(client, first["refreshToken"])).status_code == 401
    assert not await works(client, first["accessToken"])


async def test_no_family_outlives_ninety_days(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    first = await log_in(client, someone)
    async with installation.database.control() as conn:
        await conn.execute(
            "update auth_sessions set created_at = now() - interval '89 days' where user_id = $1", someone.owner_id
        )
    assert (await refresh(client, first["refreshToken"])).status_code == 200
    async with installation.database.control() as conn:
        left = await conn.fetchval(
            "select max(extract(epoch from expires_at - now())) from auth_sessions where user_id = $1 and rotated_at is not null",
            someone.owner_id,
        )
    assert left <= 24 * 3600


@pytest.mark.parametrize("token", ["", "never-was", "x" * 201, 7, None])
async def test_what_is_no_refresh_token_is_refused(client: httpx.AsyncClient, token: Any) -> None:
    answer = await client.post("/api/auth/refresh", json={"refreshToken": token})
    assert answer.status_code == (401 if token == "never-was" else 422)


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(
    client: httpx.AsyncClient, someone: ActingTenant
) -> None:
    first = await log_in(client, someone)
    assert not await works(client, first["refreshToken"])
    assert (await refresh(client, first["accessToken"])).status_code in {401, 422}


async def test_the_cookie_of_a_browser_is_no_refresh_token(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    form = {"email": someone.email, "password": someone.password}
    answer = await client.post("/login", data=form)
    cookie = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert len(cookie) > 40
    assert (await refresh(client, cookie)).status_code == 401
