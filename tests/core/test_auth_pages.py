"""The pages: cookie sessions, forgery from other sites, safe redirects, and the ways in that start in a mail."""

from __future__ import annotations

import email
import email.policy
import re
from typing import Any

import httpx
import pytest

from coursesignal.auth.redirects import safe_next
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

COOKIE = "__Host-cs_session"
SAME = {"sec-fetch-site": "same-origin"}
PASSWORD = "a long enough pass phrase"


@pytest.fixture
async def someone(make_tenant: TenantMaker, installation: Runtime) -> ActingTenant:
    async with installation.database.control() as conn:
        await conn.execute("delete from rate_limits")
    return await make_tenant()


async def log_in(client: httpx.AsyncClient, who: ActingTenant, **form: str) -> httpx.Response:
    return await client.post("/login", data={"email": who.email, "password": who.password, **form}, headers=SAME)


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The headers of a browser that keeps the answer's cookie."""
    found = re.match(rf"{COOKIE}=([^;]+);", answer.headers["set-cookie"])
    assert found, answer.headers["set-cookie"]
    return {"cookie": f"{COOKIE}={found.group(1)}"}


async def csrf_token(installation: Runtime, cookie: dict[str, str]) -> str:
    from coursesignal.auth.callers import csrf_token as token_of
    from coursesignal.security.tokens import hash_token

    async with installation.database.control() as conn:
        digest = hash_token(cookie["cookie"].partition("=")[2])
        session = await conn.fetchval("select id from auth_sessions where token_hash = $1", digest)
    return token_of(installation.keys, session)


async def link_in_mail(installation: Runtime, to: str) -> str:
    await installation.mailer.deliver_due()
    for path in sorted(installation.settings.mail_dir.glob("*.eml"), reverse=True):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        if message["to"] == to and body is not None:
            found = re.search(r"http://coursesignal\.test(/\S+token=\S+)", body.get_content())
            assert found
            return found.group(1)
    raise AssertionError(f"no mail to {to}")


async def test_logging_in_sets_a_cookie_that_scripts_and_other_hosts_cannot_have(
    client: httpx.AsyncClient, someone: ActingTenant
) -> None:
    answer = await log_in(client, someone)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes
    assert not any(attribute.startswith("domain") for attribute in attributes)
    home = await client.get("/", headers=cookie_of(answer))
    assert (home.status_code, home.headers["location"]) == (303, f"/app/{someone.tenant.slug}")
    again = await client.get("/login", headers=cookie_of(answer))
    assert again.status_code == 303


async def test_a_wrong_pair_shows_the_form_again(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    answer = await client.post(
        "/login", data={"email": someone.email, "password": "wrong", "next": "/app/x/y"}, headers=SAME
    )
    assert answer.status_code == 401
    assert "password is wrong" in answer.text and 'value="/app/x/y"' in answer.text
    assert "set-cookie" not in answer.headers


async def test_each_login_is_a_new_session_and_ends_the_one_before(
    client: httpx.AsyncClient, someone: ActingTenant
) -> None:
    first = cookie_of(await log_in(client, someone))
    form = {"email": someone.email, "password": someone.password}
    second = cookie_of(await client.post("/login", data=form, headers={**SAME, **first}))
    assert first != second
    assert (await client.get("/", headers=first)).headers["location"] == "/login"
    assert (await client.get("/", headers=second)).headers["location"] != "/login"


async def test_a_cookie_somebody_planted_is_not_adopted(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    planted = {"cookie": f"{COOKIE}=planted-by-somebody"}
    form = {"email": someone.email, "password": someone.password}
    answer = await client.post("/login", data=form, headers={**SAME, **planted})
    assert "planted" not in answer.headers["set-cookie"]
    assert (await client.get("/", headers=planted)).headers["location"] == "/login"


async def test_strangers_are_sent_to_log_in_and_come_back(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    page = f"/app/{someone.tenant.slug}/launches"
    answer = await client.get(page, params={"sort": "newest"})
    assert answer.status_code == 303
    to = answer.headers["location"]
    assert to.startswith("/login?next=")
    shown = await client.get(to)
    wanted = re.search(r'name="next" value="([^"]*)"', shown.text)
    assert wanted and wanted.group(1) == f"{page}?sort=newest"
    back = await log_in(client, someone, next=wanted.group(1))
    assert back.headers["location"] == f"{page}?sort=newest"


async def test_a_page_of_somebody_elses_tenant_is_not_there(
    client: httpx.AsyncClient, someone: ActingTenant, make_tenant: TenantMaker
) -> None:
    other = await make_tenant()
    headers = {**cookie_of(await log_in(client, someone)), "accept": "text/html"}
    assert (await client.get(f"/app/{someone.tenant.slug}/launches", headers=headers)).status_code == 200
    foreign = await client.get(f"/app/{other.tenant.slug}/launches", headers=headers)
    absent = await client.get("/app/absent/launches", headers=headers)
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert "<h1>Not found.</h1>" in foreign.text, "people see a page, not JSON"


TRICKS = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil.example",
    "//evil.example/app/x", "/app//evil.example", "/app/x//evil.example", "/app/../..//evil.example", "/app/%2e%2e//evil.example",
    "/%09/evil.example", "/\t/evil.example", "/app/\t/x", "/app/x\r\nset-cookie: a=b", "/app/x\nlocation: //evil.example",
    "javascript:alert(1)", "data:text/html,x", "http://coursesignal.test@evil.example", "/app/x@evil.example:80\\",
    "//coursesignal.test@evil.example", "/app/%2f%2fevil.example", "/app/%5cevil.example", "/app/x#//evil.example",
    "evil.example", "app/x", " /app/x", "/App/x", "/login", "/logout", "/api/auth/me", "/app", "/app/", "?next=x", "/app/x\u2028",
    "/app/\u3002evil.example", "/\u2215evil.example", "/app/" + "x" * 3000, "/app/x?y=<script>", "/app/x?y='\"", "/app/%0d%0ax",
]  # fmt: skip


@pytest.mark.parametrize("wanted", TRICKS)
def test_a_next_that_could_lead_elsewhere_leads_home(wanted: str) -> None:
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize(
    "wanted", ["/app/nora/dashboard", "/app/nora/launches/0198-7?range=30d&source=you%20tube", "/app/a/b/"]
)
def test_a_page_of_ours_is_a_good_next(wanted: str) -> None:
    assert safe_next(wanted) == wanted


@pytest.mark.parametrize("wanted", TRICKS[:12])
async def test_the_login_page_sends_nobody_elsewhere(
    client: httpx.AsyncClient, someone: ActingTenant, wanted: str
) -> None:
    assert (await log_in(client, someone, next=wanted)).headers["location"] == "/"


async def test_changing_something_by_cookie_needs_the_sessions_token_and_our_own_page(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    cookie = cookie_of(await log_in(client, someone))
    token = await csrf_token(installation, cookie)
    other = await csrf_token(installation, cookie_of(await log_in(client, someone)))
    body = {"name": "Made by cookie"}

    async def create(**headers: str) -> int:
        answer = await client.post("/api/tenants", json=body, headers={**cookie, **headers})
        return answer.status_code

    assert await create() == 403
    assert await create(**{"x-csrf-token": "wrong"}) == 403
    assert await create(**{"x-csrf-token": other}) == 403, "another session's token"
    assert await create(**{"x-csrf-token": token, "sec-fetch-site": "cross-site"}) == 403
    assert await create(**{"x-csrf-token": token, "sec-fetch-site": "same-site"}) == 403
    assert await create(**{"x-csrf-token": token, "origin": "https://evil.example"}) == 403
    tenants = await client.get("/api/tenants", headers=cookie)
    assert (tenants.status_code, len(tenants.json())) == (200, 1), "nothing was made, and reading needs no token"
    assert await create(**{"x-csrf-token": token, **SAME}) == 201


async def test_a_text_plain_body_by_cookie_is_refused(client: httpx.AsyncClient, someone: ActingTenant) -> None:
    """The one kind of cross-site request that a form can make look like JSON."""
    cookie = cookie_of(await log_in(client, someone))
    headers = {**cookie, "content-type": "text/plain"}
    answer = await client.post("/api/tenants", content=b'{"name": "Forged"}', headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}]
)
@pytest.mark.parametrize(
    "path", ["/login", "/signup", "/forgot-password", "/reset-password", "/verify-email", "/accept-invite"]
)
async def test_forms_of_other_sites_are_refused(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    answer = await client.post(path, data={"email": "x@example.com", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("csrf")


async def test_logging_out_needs_the_token_and_ends_the_session(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    cookie = cookie_of(await log_in(client, someone))
    token = await csrf_token(installation, cookie)
    assert (await client.post("/logout", data={}, headers={**cookie, **SAME})).status_code == 403
    assert (await client.get("/", headers=cookie)).headers["location"] != "/login"
    done = await client.post("/logout", data={"csrf_token": token}, headers={**cookie, **SAME})
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    assert f"{COOKIE}=" in done.headers["set-cookie"] and "max-age=0" in done.headers["set-cookie"].lower()
    assert (await client.get("/", headers=cookie)).headers["location"] == "/login"
    again = await client.post("/logout", data={"csrf_token": token}, headers={**cookie, **SAME})
    assert again.status_code == 303, "a session that ended already is no mistake"


async def test_signing_up_in_a_browser_ends_at_the_dashboard(
    client: httpx.AsyncClient, installation: Runtime, someone: ActingTenant
) -> None:
    form = {"email": "bea@example.com", "password": PASSWORD, "tenant_name": "Bea <b>bakes</b>"}
    weak = await client.post("/signup", data={**form, "password": "short"}, headers=SAME)
    assert weak.status_code == 422
    assert "at least 10" in weak.text and "Bea &lt;b&gt;bakes" in weak.text
    sent = await client.post("/signup", data=form, headers=SAME)
    assert sent.status_code == 200 and "sent a mail" in sent.text
    link = await link_in_mail(installation, "bea@example.com")
    for _ in range(2):  # a mail scanner opens links too
        opened = await client.get(link)
        assert opened.status_code == 200 and 'action="/verify-email"' in opened.text
    token = link.partition("token=")[2]
    confirmed = await client.post("/verify-email", data={"token": token}, headers=SAME)
    assert confirmed.status_code == 303, confirmed.text
    home = await client.get("/", headers=cookie_of(confirmed))
    assert re.fullmatch(r"/app/bea-b-bakes-b", home.headers["location"])
    spent = await client.post("/verify-email", data={"token": token}, headers=SAME)
    assert spent.status_code == 400 and "not valid any more" in spent.text


async def test_choosing_a_new_password_in_a_browser(
    client: httpx.AsyncClient, installation: Runtime, someone: ActingTenant
) -> None:
    cookie = cookie_of(await log_in(client, someone))
    assert (await client.get("/forgot-password")).status_code == 200
    asked = await client.post("/forgot-password", data={"email": someone.email}, headers=SAME)
    assert asked.status_code == 200
    link = await link_in_mail(installation, someone.email)
    assert (await client.get(link)).status_code == 200
    form = {"token": link.partition("token=")[2], "password": "my other pass phrase"}
    done = await client.post("/reset-password", data=form, headers=SAME)
    assert done.status_code == 200 and "is changed" in done.text
    assert (await client.get("/", headers=cookie)).headers["location"] == "/login"
    someone.password = "my other pass phrase"
    assert (await log_in(client, someone)).status_code == 303


async def test_who_belongs_nowhere_is_told_what_to_do(
    client: httpx.AsyncClient, someone: ActingTenant, installation: Runtime
) -> None:
    async with installation.database.control() as conn:
        await conn.execute("delete from memberships where user_id = $1", someone.owner_id)
    cookie = cookie_of(await log_in(client, someone))
    shown = await client.get("/", headers=cookie)
    assert shown.status_code == 200 and "no business yet" in shown.text
    token = await csrf_token(installation, cookie)
    assert token in shown.text
    form = {"tenant_name": "Fresh start", "csrf_token": token}
    assert (await client.post("/new-tenant", data=form, headers={**cookie, **SAME})).status_code == 303
    assert "/app/fresh-start" in (await client.get("/", headers=cookie)).headers["location"]


@pytest.mark.parametrize(
    "path",
    [
        "/login",
        "/signup",
        "/forgot-password",
        "/reset-password?token=x",
        "/verify-email?token=x",
        "/accept-invite?token=x",
    ],
)
async def test_pages_carry_no_script_and_fit_a_phone(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text and "style=" not in answer.text
    assert 'name="viewport"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe-inline" not in policy
    assert answer.headers["cache-control"] == "no-store"
    style = re.search(r'href="(/assets/[^"]+)"', answer.text)
    assert style and (await client.get(style.group(1))).headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"email=%ff&password=%00", b"email=a&email=b&password[]=1", b"x" * 5000, b""]
)
async def test_a_form_of_nonsense_is_refused_without_an_error(client: httpx.AsyncClient, content: bytes) -> None:
    headers: dict[str, Any] = {**SAME, "content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/login", content=content, headers=headers)
    assert 400 <= answer.status_code < 500
