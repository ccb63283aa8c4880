"""The tracker script in a real Chromium, on pages of another origin, against a server over real HTTP."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route

from coursesignal.testing.fixtures import ActingTenant

pytestmark = pytest.mark.browser
COLLECT = "**/api/tracking/event"

Run = Callable[[], Awaitable[None]]


class Shop(http.server.BaseHTTPRequestHandler):
    """A creator's website: every page is the same, with the snippet in it."""

    html = ""

    def do_GET(self) -> None:
        body = self.html.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests print enough."""


@pytest.fixture
def shop(server: str, tenant: ActingTenant) -> Iterator[str]:
    """The port of shop.localhost and its subdomains, where every page carries the tenant's snippet."""
    snippet = f'<script async src="{server}/t.js" data-site="{tenant.site_key}"></script>'
    Shop.html = f"<!doctype html><html><head><title>A course</title>{snippet}</head><body>Hello</body></html>"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield str(site.server_address[1])
        site.shutdown()


async def visit(page: Page, address: str) -> None:
    """Open an address and wait until its page view is acknowledged."""
    async with page.expect_response(COLLECT) as answered:
        await page.goto(address)
    assert (await answered.value).status == 202


async def events(tenant: ActingTenant) -> list[Any]:
    async with tenant.transaction() as conn:
        found: list[Any] = await conn.fetch("select * from events where tenant_id = $1 order by occurred_at", tenant.id)
    return found


async def eventually(ask: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first true answer within 10 s."""
    async with asyncio.timeout(10):
        while not (answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


async def test_a_visit_from_youtube_ends_as_a_touch_from_youtube(
    page: Page, shop: str, tenant: ActingTenant, run_jobs: Run
) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/?utm_source=youtube&utm_medium=video&utm_campaign=Spring")
    await run_jobs()
    async with tenant.transaction() as conn:
        (touch,) = await conn.fetch("select * from touches where tenant_id = $1", tenant.id)
    assert (touch["source"], touch["medium"], touch["campaign"]) == ("youtube", "video", "Spring")
    (event,) = await events(tenant)
    assert (event["title"], event["verdict"]) == ("A course", "ok")
    assert str(event["visitor_id"]) == await page.evaluate("CourseSignal.visitorId()")


async def test_moving_through_a_single_page_application_is_seen(page: Page, shop: str, tenant: ActingTenant) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/?utm_source=youtube")
    async with page.expect_response(COLLECT):
        await page.evaluate("history.pushState({}, '', '/lessons')")
    async with page.expect_response(COLLECT):
        await page.evaluate("history.back()")
    first, second, third = await events(tenant)
    assert [event["url"].removeprefix(f"http://www.shop.localhost:{shop}") for event in (first, second, third)] == [
        "/?utm_source=youtube", "/lessons", "/?utm_source=youtube",
    ]  # fmt: skip
    assert second["referrer"] == f"http://www.shop.localhost:{shop}/?utm_source=youtube"


async def test_subdomains_share_the_visitor_and_others_do_not(page: Page, shop: str, tenant: ActingTenant) -> None:
    for host in ("www.shop.localhost", "checkout.shop.localhost", "shop.localhost"):
        await visit(page, f"http://{host}:{shop}/")
    assert len({event["visitor_id"] for event in await events(tenant)}) == 1


async def test_a_cleared_cookie_is_made_again_from_storage(
    page: Page, shop: str, context: BrowserContext, tenant: ActingTenant
) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/")
    await context.clear_cookies()
    await visit(page, f"http://www.shop.localhost:{shop}/next")
    assert len({event["visitor_id"] for event in await events(tenant)}) == 1


async def test_identify_and_track_say_who_and_what(page: Page, shop: str, tenant: ActingTenant) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/")
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.identify('pat@example.com', 'Pat')")
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.track('watched', {minutes: 42})")
    _, identify, custom = await events(tenant)
    assert (identify["type"], identify["email"], identify["name"]) == ("identify", "pat@example.com", "Pat")
    assert (custom["type"], custom["name"], custom["props"]) == ("custom", "watched", {"minutes": 42})


async def test_whoever_opts_out_sends_and_keeps_nothing_until_they_opt_in(
    page: Page, shop: str, context: BrowserContext, tenant: ActingTenant
) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/")
    await page.evaluate("CourseSignal.optOut()")
    assert await page.evaluate("CourseSignal.visitorId()") is None
    assert "cs_visitor" not in {cookie["name"] for cookie in await context.cookies()}
    await page.goto(f"http://www.shop.localhost:{shop}/next")
    await page.wait_for_function("window.CourseSignal")
    await page.evaluate("CourseSignal.track('watched')")
    async with page.expect_response(COLLECT) as answered:
        await page.evaluate("CourseSignal.optIn()")
    assert (await answered.value).status == 202
    assert [event["type"] for event in await events(tenant)] == ["pageview", "pageview"]


async def test_global_privacy_control_is_honoured(
    page: Page, shop: str, context: BrowserContext, tenant: ActingTenant
) -> None:
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/api/tracking" in request.url else None)
    await page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    await page.goto(f"http://www.shop.localhost:{shop}/")
    await page.wait_for_function("window.CourseSignal")
    await page.evaluate("CourseSignal.identify('pat@example.com')")
    assert await page.evaluate("CourseSignal.visitorId()") is None
    assert sent == []
    assert await context.cookies() == []


async def test_an_event_that_could_not_be_sent_is_sent_again_with_the_same_id(
    page: Page, shop: str, context: BrowserContext, tenant: ActingTenant
) -> None:
    tried: list[str] = []

    async def fail(route: Route) -> None:
        tried.append(route.request.post_data_json["events"][0]["eventId"])
        await route.abort()

    await context.route(COLLECT, fail)
    await page.goto(f"http://www.shop.localhost:{shop}/?utm_source=youtube")
    await eventually(lambda: _value(tried), "the first attempt")
    await context.unroute(COLLECT)
    await visit(page, f"http://www.shop.localhost:{shop}/next")
    await eventually(lambda: _both(tenant), "both page views")
    first, second = await events(tenant)
    assert str(first["event_id"]) == tried[0]
    assert second["url"] == f"http://www.shop.localhost:{shop}/next"


async def test_what_is_tracked_while_leaving_arrives(page: Page, shop: str, tenant: ActingTenant) -> None:
    await visit(page, f"http://www.shop.localhost:{shop}/")
    await page.evaluate("CourseSignal.track('bought'); location.href = 'about:blank'")
    stored = await eventually(lambda: _both(tenant), "the event of the page that was left")
    assert [event["name"] for event in stored] == [None, "bought"]


async def test_blocked_storage_does_not_disturb_the_page(page: Page, shop: str, tenant: ActingTenant) -> None:
    await page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked') }})")
    await visit(page, f"http://www.shop.localhost:{shop}/")
    assert len(await events(tenant)) == 1


async def _both(tenant: ActingTenant) -> Any:
    found = await events(tenant)
    return found if len(found) == 2 else None


async def _value(found: list[str]) -> list[str]:
    return found
