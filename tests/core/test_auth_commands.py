"""``coursesignal users`` and ``coursesignal tenants``: accounts and businesses from the command line."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from coursesignal.cli import main
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.people import mailed_token

PASSWORD = "a long enough pass phrase"
Command = Callable[..., Awaitable[Result]]


@pytest.fixture(scope="module")
def command(installation: Runtime) -> Command:
    """Run ``coursesignal`` with these words on the installation under test, as an operator's shell would."""
    settings, where = installation.settings, installation.where
    env = {
        "COURSESIGNAL_HOME": str(settings.home), "COURSESIGNAL_PLUGINS_FILE": str(settings.plugins_file),
        "COURSESIGNAL_BASE_URL": settings.base_url, "DATABASE_URL": where.owner, "COURSESIGNAL_TESTING": "1",
        "COURSESIGNAL_APP_DATABASE_URL": where.app, "COURSESIGNAL_INGEST_DATABASE_URL": where.ingest,
    }  # fmt: skip

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(functools.partial(CliRunner().invoke, main, list(words), env=env))

    return run


def somebody() -> str:
    return f"{uuid4().hex[:12]}@example.com"


async def log_in(client: httpx.AsyncClient, who: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/auth/login", json={"email": who, "password": password})


async def test_a_verified_user_logs_in_at_once(client: httpx.AsyncClient, command: Command) -> None:
    who = somebody()
    done = await command("users", "create", "--email", who, "--password", PASSWORD, "--verified")
    assert (done.exit_code, done.output) == (0, f"{who} can log in.\n")
    answer = await log_in(client, who)
    assert (answer.status_code, answer.json()["tenants"]) == (200, [])


async def test_any_other_user_confirms_the_address_first(
    client: httpx.AsyncClient, command: Command, installation: Runtime
) -> None:
    who = somebody()
    done = await command("users", "create", "--email", who, "--password", PASSWORD)
    assert done.exit_code == 0 and "sent a mail" in done.output
    assert (await log_in(client, who)).status_code == 403
    confirmed = await client.post("/api/auth/verify-email", json={"token": await mailed_token(installation, who)})
    assert (confirmed.status_code, confirmed.json()["tenants"]) == (200, []), "no tenant they did not ask for"
    assert (await log_in(client, who)).status_code == 200


async def test_a_user_is_made_a_member_and_the_tenants_record_says_so(
    client: httpx.AsyncClient, command: Command, make_tenant: TenantMaker
) -> None:
    who, tenant = somebody(), await make_tenant()
    words = ("--email", who, "--password", PASSWORD, "--verified", "--tenant", tenant.tenant.slug, "--role", "admin")
    done = await command("users", "create", *words)
    assert done.exit_code == 0 and f"{who} is admin of {tenant.tenant.name}." in done.output
    [line] = (await log_in(client, who)).json()["tenants"]
    assert (line["slug"], line["role"]) == (tenant.tenant.slug, "admin")
    [entry] = (await client.get("/api/audit", headers=tenant.headers)).json()["items"]
    assert (entry["action"], entry["subject"], entry["actor"]) == ("member.added", who, "coursesignal command")


async def test_a_known_user_gets_a_new_password_and_is_logged_out(
    client: httpx.AsyncClient, command: Command, make_tenant: TenantMaker
) -> None:
    known: ActingTenant = await make_tenant()
    done = await command("users", "create", "--email", known.email.upper(), "--password", "my other pass phrase")
    assert (done.exit_code, done.output) == (0, f"{known.email} can log in.\n")
    assert (await client.get("/api/auth/me", headers=known.headers)).status_code == 401
    assert (await log_in(client, known.email, known.password)).status_code == 401
    assert (await log_in(client, known.email, "my other pass phrase")).status_code == 200


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--email", "nobody", "--password", PASSWORD), "e-mail address"),
        (("--email", "x@example.com", "--password", "short"), "at least 10"),
        (("--email", "x@example.com", "--password", "password123"), "easy to guess"),
        (("--email", "x@example.com", "--password", PASSWORD, "--tenant", "absent"), "tenants list"),
        (("--email", "x@example.com", "--password", PASSWORD, "--role", "king"), "king"),
    ],
)
async def test_a_user_that_cannot_be_is_refused_in_words(
    client: httpx.AsyncClient, command: Command, words: tuple[str, ...], said: str
) -> None:
    done = await command("users", "create", *words)
    assert done.exit_code != 0
    assert said in done.output and "Traceback" not in done.output
    assert (await log_in(client, "x@example.com")).status_code == 401, "nobody was made"


async def test_a_tenant_is_opened_for_its_owner(
    client: httpx.AsyncClient, command: Command, make_tenant: TenantMaker
) -> None:
    owner, slug = await make_tenant(), f"shop-{uuid4().hex[:8]}"
    words = ("--slug", slug, "--name", "Shop", "--currency", "JPY", "--time-zone", "Asia/Tokyo", "--owner", owner.email)
    done = await command("tenants", "create", *words)
    assert done.exit_code == 0, done.output
    headers = {**owner.headers, "x-tenant": slug}
    tenant = (await client.get(f"/api/tenants/{slug}", headers=headers)).json()
    assert (tenant["currency"], tenant["timeZone"], tenant["role"], tenant["agency"]) == (
        "JPY", "Asia/Tokyo", "owner", None,
    )  # fmt: skip
    assert tenant["id"] in done.output
    assert (await client.get("/api/script/info", headers=headers)).json()["siteKey"] in done.output
    shown = await command("tenants", "list")
    assert any(line.split()[:3] == [slug, "Shop", "JPY"] for line in shown.output.splitlines())


async def test_a_tenant_of_an_agency_founds_the_agency_once(command: Command, installation: Runtime) -> None:
    agency, slugs = f"agency-{uuid4().hex[:8]}", [f"shop-{uuid4().hex[:8]}" for _ in range(2)]
    for slug in slugs:
        done = await command("tenants", "create", "--slug", slug, "--name", "Shop", "--agency", agency)
        assert done.exit_code == 0, done.output
    async with installation.database.control() as conn:
        owners = await conn.fetch(
            "select a.slug from tenants t join agencies a on a.id = t.agency_id where t.slug = any($1)", slugs
        )
    assert [row["slug"] for row in owners] == [agency, agency]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slug", "No Slug", "--name", "x"), "slug"),
        (("--slug", "fine", "--name", "x", "--currency", "DOUBLOONS"), "currency"),
        (("--slug", "fine", "--name", "x", "--time-zone", "Mars"), "timeZone"),
        (("--slug", "fine", "--name", "x", "--owner", "nobody@example.com"), "users create"),
        (("--name", "x"), "--slug"),
    ],
)
async def test_a_tenant_that_cannot_be_is_refused_in_words(command: Command, words: tuple[str, ...], said: str) -> None:
    done = await command("tenants", "create", *words)
    assert done.exit_code != 0
    assert said in done.output and "Traceback" not in done.output
