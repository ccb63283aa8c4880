"""Every error a creator can meet with Kajabi says what to do, in the API and on the page, and is listed in the README."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

import coursesignal_kajabi
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, Reply, use_platform

RunJobs = Callable[[], Awaitable[None]]
Trouble = Callable[[FakeKajabi], object]
KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}
WRONG, ENDED = "Kajabi refuses this key: …", "Kajabi refuses the key: …"
LACKS, MAY_NOT, REFUSED = (f"Kajabi says: … {what}" for what in ("The key lacks", "The key may not", "If this stays"))
NO_SITE, SITES, WRONG_SITE = (
    "This key sees no site.",
    "The account has several sites;",
    "This is none of the account's sites.",
)
SILENT, DOWN, SLOW = "Kajabi does not answer.", "Kajabi is down or busy", "Kajabi asks us to slow down"
UNREADABLE, REPEATS = "Kajabi sent an answer that is not readable.", "Kajabi sends the same page"
SPENT = "All … requests to Kajabi"
NOT_ALLOWED = "Kajabi says: You are not authorized to perform this action."
TWO_SITES = {"2": "Example Academy", "3": "Second School"}


@dataclass(frozen=True)
class Case:
    """A trouble, how its message begins, and how the README's row of that message does."""

    row: str
    says: str
    trouble: Trouble
    path: str | None = None
    """The field of the form it is shown at; None for trouble on the platform's side."""
    form: Mapping[str, str] = field(default_factory=dict)


def lacks(*permissions: str) -> Trouble:
    return lambda kajabi: setattr(kajabi.quirks, "lacks", permissions)


def at(path: str, reply: Reply) -> Trouble:
    """That reply to every call of ``path``."""

    def arrange(kajabi: FakeKajabi) -> None:
        answer = kajabi.answer
        kajabi.answer = lambda call: reply if call.path == path else answer(call)  # type: ignore[method-assign]

    return arrange


def forbidden(path: str) -> Trouble:
    return at(path, Reply(403, {"errors": [{"status": "403", "source": None, "title": "Forbidden", "detail": "No."}]}))


def repeat(kajabi: FakeKajabi) -> None:
    kajabi.sell("pat@example.com")
    kajabi.quirks.loops, kajabi.quirks.paging = True, "self_only"


CONNECTING = {
    "wrong key": Case(
        WRONG,
        "Kajabi refuses this key: Client authentication failed: unknown client. Copy the key",
        lambda _: None,
        "clientSecret",
        {"clientSecret": "no"},
    ),
    "a plan without API answers as a wrong key": Case(
        WRONG,
        "Kajabi refuses this key: invalid_client. Copy the key and its secret again from Settings > Public API. "
        "If they are right, the plan lacks the Public API",
        at("/v1/oauth/token", Reply(401, {"error": "invalid_client"})),
        "clientSecret",
    ),
    "no money": Case(LACKS, f"{NOT_ALLOWED} The key lacks view:transactions.", lacks("view:transactions"), "clientId"),
    "no purchases": Case(LACKS, f"{NOT_ALLOWED} The key lacks view:purchases.", lacks("view:purchases"), "clientId"),
    "no orders": Case(LACKS, f"{NOT_ALLOWED} The key lacks view:orders.", lacks("view:orders"), "clientId"),
    "no buyers": Case(LACKS, f"{NOT_ALLOWED} The key lacks view:contacts.", lacks("view:contacts"), "clientId"),
    "several lacking": Case(
        LACKS,
        f"{NOT_ALLOWED} The key lacks view:orders and view:contacts.",
        lacks("view:contacts", "view:orders"),
        "clientId",
    ),
    "not even itself": Case(
        MAY_NOT, "Kajabi says: No. The key may not do this. Edit the key's permissions", forbidden("/v1/me"), ""
    ),
    "no site": Case(
        NO_SITE,
        "This key sees no site. Make it as the account's owner.",
        lambda kajabi: kajabi.sites.clear(),
        "clientId",
    ),
    "several sites": Case(
        SITES,
        "The account has several sites; enter the id of one: 2 (Example Academy), 3 (Second School).",
        lambda kajabi: kajabi.sites.update(TWO_SITES),
        "siteId",
    ),
    "wrong site": Case(
        WRONG_SITE,
        "This is none of the account's sites. Enter the id of one: 2 (Example Academy).",
        lambda _: None,
        "siteId",
        {"siteId": "9"},
    ),
    "no answer": Case(SILENT, "Kajabi does not answer. Your key is not the problem", lambda kajabi: kajabi.truncate()),
    "down": Case(DOWN, "Kajabi is down or busy (503). Your key is not the problem", lambda kajabi: kajabi.fail()),
    "too many": Case(
        SLOW, "Kajabi asks us to slow down (429). Your key is not the problem", lambda kajabi: kajabi.throttle()
    ),
    "unreadable": Case(
        UNREADABLE,
        "Kajabi sent an answer that is not readable. Your key is not",
        lambda kajabi: kajabi.trouble.append(Reply(200, b"<html>")),
    ),
    "endless sites": Case(
        REPEATS,
        "Kajabi sends the same page of /v1/sites again and again, so the rest cannot be read. Your key is not",
        repeat,
    ),
}
SYNCING = {
    "rotated key": Case(
        ENDED,
        "Kajabi refuses the key: Client authentication failed: unknown client. It was rotated or deleted",
        lambda kajabi: setattr(kajabi, "client_secret", "rotated"),
        "needs_reauth",
    ),
    "a permission taken away": Case(
        LACKS,
        f"{NOT_ALLOWED} The key lacks view:transactions.",
        lacks("view:transactions"),
        "needs_reauth",
    ),
    "another one": Case(
        LACKS,
        f"{NOT_ALLOWED} The key lacks view:purchases.",
        lacks("view:purchases"),
        "needs_reauth",
    ),
    "orders taken away": Case(LACKS, f"{NOT_ALLOWED} The key lacks view:orders.", lacks("view:orders"), "needs_reauth"),
    "no answer": Case(SILENT, "Kajabi does not answer. Trying again in", lambda kajabi: kajabi.truncate()),
    "down": Case(DOWN, "Kajabi is down or busy (502). Trying again in", lambda kajabi: kajabi.fail(status=502)),
    "too many": Case(
        SLOW,
        "Kajabi asks us to slow down (429). Trying again in 90 s.",
        lambda kajabi: kajabi.throttle(headers={"Retry-After": "90"}),
    ),
    "unreadable": Case(
        UNREADABLE,
        "Kajabi sent an answer that is not readable. Trying again in",
        lambda kajabi: kajabi.trouble.append(Reply(200, b"{")),
    ),
    "endless": Case(
        REPEATS,
        "Kajabi sends the same page of /v1/transactions again and again, so the rest cannot be read. Trying",
        repeat,
    ),
    "refused page size": Case(
        REFUSED,
        "Kajabi says: page[size] is too large. If this stays, connect again with fewer rows per request. Trying again in",
        at("/v1/transactions", Reply(400, {"errors": [{"status": "400", "detail": "page[size] is too large"}]})),
    ),
}
QUOTA = (
    "All 1 requests to Kajabi that this connection has in a month are used. "
    "It goes on with the next month, or when you allow it more."
)


def rows() -> list[str]:
    """The messages of the README's table."""
    text = (Path(coursesignal_kajabi.__file__).parent / "README.md").read_text()
    table = text.split("## Messages and what to do")[1]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][2:]


def row_of(message: str) -> str:
    """The row of the README that lists ``message``; … stands for anything."""
    patterns = {row: ".*".join(map(re.escape, re.split(r" ?… ?", row))) for row in rows()}
    (found,) = [row for row, pattern in patterns.items() if re.match(pattern, message)]
    return found


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture(scope="module")
async def newcomer(make_tenant: TenantMaker) -> ActingTenant:
    """Somebody who never gets connected."""
    return await make_tenant(plugins=("kajabi",))


@pytest.mark.parametrize("name", CONNECTING)
async def test_what_goes_wrong_while_connecting_is_said_with_what_to_do(
    client: httpx.AsyncClient, newcomer: ActingTenant, in_browser: Any, kajabi: FakeKajabi, name: str
) -> None:
    case = CONNECTING[name]
    case.trouble(kajabi)
    answer = await client.post("/api/kajabi/connect", json={**KEY, **case.form}, headers=newcomer.headers)
    told = answer.json()
    message = told["errors"][0]["message"] if case.path is not None else told["detail"]
    assert message.startswith(case.says), message
    assert row_of(message).startswith(case.row)
    if case.path is None:
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    else:
        assert (answer.status_code, told["errors"][0]["path"]) == (422, case.path)
    case.trouble(kajabi)
    page = await (await in_browser(newcomer)).post("connections/kajabi", {"do": "connect", **KEY, **case.form})
    assert page.status_code == answer.status_code
    assert case.says in html.unescape(page.text)
    state = (await client.get("/api/kajabi/status", headers=newcomer.headers)).json()
    assert state["connected"] is False


@pytest.mark.parametrize("name", SYNCING)
async def test_what_goes_wrong_later_is_said_with_what_to_do(
    client: httpx.AsyncClient,
    make_tenant: TenantMaker,
    in_browser: Any,
    kajabi: FakeKajabi,
    run_jobs: RunJobs,
    name: str,
) -> None:
    case, tenant = SYNCING[name], await make_tenant(plugins=("kajabi",))
    connected = await client.post("/api/kajabi/connect", json=KEY, headers=tenant.headers)
    assert connected.status_code == 200, connected.text
    case.trouble(kajabi)
    await run_jobs()
    sync = (await client.get("/api/kajabi/sync-status", headers=tenant.headers)).json()
    state = (await client.get("/api/kajabi/status", headers=tenant.headers)).json()
    message = state["problem"] if case.path else sync["message"]
    assert message.startswith(case.says), message
    assert row_of(message).startswith(case.row)
    assert state["state"] == (case.path or "ready")
    assert case.says in html.unescape((await (await in_browser(tenant)).get("connections")).text)


async def test_a_quota_that_is_used_up_is_said_with_what_to_do(
    client: httpx.AsyncClient, make_tenant: TenantMaker, in_browser: Any, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    tenant = await make_tenant(plugins=("kajabi",))
    connected = (await client.post("/api/kajabi/connect", json=KEY, headers=tenant.headers)).json()
    state = (await client.get("/api/kajabi/status", headers=tenant.headers)).json()
    limits = {"monthlyRequests": 1}
    answer = await client.patch(f"/api/connections/{state['connectionId']}", json=limits, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    assert connected["account"]["name"] == "Example Academy"
    await run_jobs()
    message = (await client.get("/api/kajabi/sync-status", headers=tenant.headers)).json()["message"]
    assert message.startswith(QUOTA)
    assert row_of(message).startswith(SPENT)
    assert QUOTA in html.unescape((await (await in_browser(tenant)).get("connections")).text)


def test_the_readme_lists_what_is_tested_and_nothing_else() -> None:
    tested = {case.row for case in (*CONNECTING.values(), *SYNCING.values())} | {SPENT}
    assert [row for row in rows() if not row.startswith(tuple(tested))] == []
    assert [begin for begin in tested if not any(row.startswith(begin) for row in rows())] == []
