"""The script for Stripe's payment links in a real Chromium: whoever leaves for one takes along who they are."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import BrowserContext, Page, Route

from coursesignal.testing.fixtures import ActingTenant

pytestmark = pytest.mark.browser

BODY = """<!doctype html><html><head><title>A course</title>{scripts}</head><body>
<a id="link" href="https://buy.stripe.com/test_1?prefilled_email=pat%40example.com"><b>Buy</b></a>
<a id="own" href="https://pay.example.com/b/1">Buy here</a>
<a id="named" href="https://buy.stripe.com/test_1?client_reference_id=student-42">Buy as a student</a>
<a id="other" href="https://stripe.com/docs">Read</a>
<stripe-buy-button buy-button-id="buy_btn_1"></stripe-buy-button>
<stripe-pricing-table client-reference-id="student-42"></stripe-pricing-table>
</body></html>"""


@pytest.fixture
def page_with(server: str, tenant: ActingTenant) -> Iterator[Callable[[str], str]]:
    """``page_with(attributes)``: the address of a page with the tracker, with those attributes, and the script beside it."""
    html = ""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: tests print enough."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()

        def make(attributes: str = "") -> str:
            nonlocal html
            tracker = f'<script async src="{server}/t.js" data-site="{tenant.site_key}" {attributes}></script>'
            links = f"{server}/api/public/stripe/links.js?site={tenant.site_key}"
            html = BODY.format(scripts=f'{tracker}<script async src="{links}" data-hosts="pay.example.com"></script>')
            return f"http://www.shop.localhost:{site.server_address[1]}/"

        yield make
        site.shutdown()


@pytest.fixture
async def stripe(context: BrowserContext) -> None:
    """Stripe's pages, and the creator's own checkout, are empty ones here."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=200, content_type="text/html", body="<title>Checkout</title>")

    for host in ("https://buy.stripe.com/**", "https://pay.example.com/**", "https://stripe.com/**"):
        await context.route(host, answer)


async def follow(page: Page, address: str, link: str) -> dict[str, list[str]]:
    """The query that a link is left with."""
    await page.goto(address)
    await page.wait_for_load_state("load")
    async with page.expect_request(lambda request: request.url.startswith("https://")) as asked:
        await page.click(f"#{link}", no_wait_after=True)
    return parse_qs(urlsplit((await asked.value).url).query)


async def test_links_take_the_visitor_along(
    page: Page, page_with: Callable[..., str], stripe: None, tenant: ActingTenant
) -> None:
    address = page_with()
    await page.goto(address)
    await page.wait_for_function("window.CourseSignal")
    visitor = await page.evaluate("CourseSignal.visitorId()")
    assert await follow(page, address, "link") == {
        "prefilled_email": ["pat@example.com"],
        "client_reference_id": [visitor],
    }
    assert await follow(page, address, "own") == {"client_reference_id": [visitor]}
    assert await follow(page, address, "named") == {"client_reference_id": ["student-42"]}
    assert await follow(page, address, "other") == {}


async def test_buttons_and_tables_are_given_the_visitor_also_late_ones(
    page: Page, page_with: Callable[..., str], tenant: ActingTenant
) -> None:
    await page.goto(page_with())
    await page.wait_for_function("document.querySelector('stripe-buy-button').hasAttribute('client-reference-id')")
    visitor = await page.evaluate("CourseSignal.visitorId()")
    read = "one => one.getAttribute('client-reference-id')"
    assert await page.eval_on_selector("stripe-buy-button", read) == visitor
    assert await page.eval_on_selector("stripe-pricing-table", read) == "student-42"
    await page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<stripe-pricing-table id=late></stripe-pricing-table>')"
    )
    await page.wait_for_function("document.querySelector('#late').hasAttribute('client-reference-id')")
    assert await page.eval_on_selector("#late", read) == visitor


async def test_without_permission_nothing_is_added(
    page: Page, page_with: Callable[..., str], stripe: None, tenant: ActingTenant
) -> None:
    address = page_with("data-consent")
    assert await follow(page, address, "link") == {"prefilled_email": ["pat@example.com"]}
    await page.goto(address)
    await page.wait_for_function("window.CourseSignal")
    assert not await page.eval_on_selector("stripe-buy-button", "one => one.hasAttribute('client-reference-id')")
