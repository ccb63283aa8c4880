"""The tracker in a real Chromium where a site asks more of it: other domains, privacy modes, forms, and pages that go away."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request

COLLECT = "**/api/tracking/event"
SHOP, CHECKOUT = "www.shop", "pay.checkout"
FORM = '<form method="{method}" action="{action}">{fields}<button>Go</button></form>'

pytestmark = pytest.mark.browser


def collected(page: Page) -> list[Request]:
    """What the page sends to us from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/api/tracking" in request.url else None)
    return sent


async def kept(page: Page, context: BrowserContext) -> tuple[Any, Any]:
    """The cookies of the context, and the page's storage."""
    return await context.cookies(), await page.evaluate("Object.keys(localStorage)")


async def visitor_of(page: Page) -> Any:
    return await page.evaluate("CourseSignal.visitorId()")


async def test_a_link_to_the_checkouts_domain_takes_the_visitor_along(page: Page, website: Any) -> None:
    await website.set_up(linkedHosts=["checkout.localhost"])
    website.body = f'<a href="{website.at(CHECKOUT, "/buy?plan=a%20b#top")}">Buy</a>'
    await website.visit(page, website.at(SHOP, "/?utm_source=youtube"))
    visitor = await visitor_of(page)
    async with page.expect_response(COLLECT):
        await page.click("a")
    await page.wait_for_url(website.at(CHECKOUT, "/buy?plan=a+b#top"))
    assert await visitor_of(page) == visitor
    first, second = await website.stored(2)
    assert str(first["visitor_id"]) == str(second["visitor_id"]) == visitor
    assert second["url"] == website.at(CHECKOUT, "/buy?plan=a+b#top")
    await website.visit(page, website.at("www.checkout"))
    assert await visitor_of(page) == visitor


@pytest.mark.parametrize("method", ["get", "post"])
async def test_a_form_takes_the_visitor_along_too(page: Page, website: Any, method: str) -> None:
    await website.set_up(linkedHosts=["checkout.localhost"])
    fields = '<input name="plan" value="a">'
    website.body = FORM.format(method=method, action=website.at(CHECKOUT, "/buy"), fields=fields)
    await website.visit(page, website.at(SHOP))
    visitor = await visitor_of(page)
    async with page.expect_response(COLLECT):
        await page.click("button")
    await page.wait_for_url(website.at(CHECKOUT, "/buy?plan=a" if method == "get" else "/buy"))
    assert await visitor_of(page) == visitor
    assert {str(event["visitor_id"]) for event in await website.stored(2)} == {visitor}


async def test_a_browser_that_was_known_there_goes_on_as_who_it_came_as(page: Page, website: Any) -> None:
    await website.set_up(linkedHosts=["checkout.localhost"])
    website.body = f'<a href="{website.at(CHECKOUT)}">Buy</a>'
    await website.visit(page, website.at(CHECKOUT, "/earlier"))
    known = await visitor_of(page)
    await website.visit(page, website.at(SHOP))
    visitor = await visitor_of(page)
    async with page.expect_response(COLLECT):
        await page.click("a")
    await page.wait_for_function(f"CourseSignal.visitorId() == '{visitor}'")
    async with website.tenant.transaction() as conn:
        links = await conn.fetch("select * from visitor_links where tenant_id = $1", website.tenant.id)
    assert [(str(link["from_visitor_id"]), str(link["to_visitor_id"])) for link in links] == [(known, visitor)]


async def test_whoever_opted_out_is_not_carried_along(page: Page, website: Any) -> None:
    await website.set_up(linkedHosts=["checkout.localhost"])
    website.body = f'<a href="{website.at(CHECKOUT, "/buy")}">Buy</a>'
    await website.visit(page, website.at(SHOP))
    await page.evaluate("CourseSignal.optOut()")
    async with page.expect_request(lambda request: request.is_navigation_request()) as gone:
        await page.click("a")
    assert (await gone.value).url == website.at(CHECKOUT, "/buy")


async def test_a_forged_parameter_leaves_the_address_and_changes_nothing(page: Page, website: Any) -> None:
    await website.set_up()
    await website.visit(page, website.at(SHOP, "/?a=1&cs_link=forged"))
    assert page.url == website.at(SHOP, "/?a=1")
    (event,) = await website.stored(1)
    assert (event["url"], str(event["visitor_id"])) == (website.at(SHOP, "/?a=1"), await visitor_of(page))


async def test_consent_first_keeps_and_sends_nothing_before_consent_and_then_loses_nothing(
    page: Page, context: BrowserContext, website: Any
) -> None:
    await website.set_up(consentFirst=True)
    sent = collected(page)
    await page.goto(website.at(SHOP, "/?utm_source=youtube"))
    await page.wait_for_function("window.CourseSignal")
    await page.evaluate("CourseSignal.track('early'); history.pushState(null, '', '/next')")
    assert await visitor_of(page) is None
    assert (sent, *await kept(page, context)) == ([], [], [])
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.consent()")
    (event,) = await website.stored(1)
    assert (event["type"], event["url"]) == ("pageview", website.at(SHOP, "/?utm_source=youtube"))
    await website.visit(page, website.at("blog.shop"))
    assert len({event["visitor_id"] for event in await website.stored(2)}) == 1


async def test_a_visitor_carried_to_a_domain_without_consent_yet_is_taken_up_with_it(
    page: Page, context: BrowserContext, website: Any
) -> None:
    await website.set_up(consentFirst=True, linkedHosts=["checkout.localhost"])
    website.body = f'<a href="{website.at(CHECKOUT)}">Buy</a>'
    await page.goto(website.at(SHOP))
    await page.wait_for_function("window.CourseSignal")
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.consent()")
    visitor = await visitor_of(page)
    sent = collected(page)
    await page.click("a")
    await page.wait_for_url(website.at(CHECKOUT))
    assert (sent, await page.evaluate("document.cookie")) == ([], "")
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.consent()")
    await page.wait_for_function(f"CourseSignal.visitorId() == '{visitor}'")
    assert {str(event["visitor_id"]) for event in await website.stored(2)} == {visitor}


async def test_cookieless_keeps_nothing_in_the_browser_and_knows_the_visitor_all_day(
    page: Page, context: BrowserContext, website: Any
) -> None:
    await website.set_up(cookieless=True)
    await website.visit(page, website.at(SHOP, "/?utm_source=youtube"))
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.identify('pat@example.com')")
    await website.visit(page, website.at(CHECKOUT))
    assert await kept(page, context) == ([], [])
    assert len({event["visitor_id"] for event in await website.stored(3)}) == 1


async def test_cookies_and_storage_blocked_at_once_do_not_stop_the_page_or_us(page: Page, website: Any) -> None:
    await page.add_init_script(
        """for (const [where, what] of [[window, "localStorage"], [Document.prototype, "cookie"]])
             Object.defineProperty(where, what, {get() { throw Error("blocked") }, set() { throw Error("blocked") }})"""
    )
    await website.set_up(linkedHosts=["checkout.localhost"])
    website.body = f'<a href="{website.at(CHECKOUT)}">Buy</a>'
    await website.visit(page, website.at(SHOP))
    async with page.expect_response(COLLECT):
        await page.evaluate("CourseSignal.track('watched')")
    async with page.expect_response(COLLECT):
        await page.click("a")
    assert len({event["visitor_id"] for event in await website.stored(3)}) == 1


async def test_the_address_in_a_form_identifies_where_the_site_asks_for_it(page: Page, website: Any) -> None:
    await website.set_up(formEmails=True)
    fields = (
        '<input type="hidden" name="mail_to" value="owner@example.com"><input name="who" value="Pat">'
        '<input name="E-Mail" value="pat@example.com">'
    )
    website.body = FORM.format(method="get", action="/thanks", fields=fields)
    await website.visit(page, website.at(SHOP))
    await page.click("button")
    events = await website.stored(3)
    assert [event["email"] for event in events if event["type"] == "identify"] == ["pat@example.com"]


async def test_forms_and_links_are_nobodys_business_unless_the_site_asks(page: Page, website: Any) -> None:
    await website.set_up()
    email = '<input type="email" name="email" value="pat@example.com">'
    website.body = FORM.format(method="get", action="/thanks", fields=email) + '<a href="http://other.localhost/">'
    await website.visit(page, website.at(SHOP))
    await page.evaluate(
        "addEventListener('click', event => event.target.closest('a') && event.preventDefault());"
        "document.querySelector('a').click()"
    )
    async with page.expect_response(COLLECT):
        await page.click("button")
    assert [event["type"] for event in await website.stored(2)] == ["pageview", "pageview"]


async def test_clicks_on_links_to_other_websites_are_events_where_the_site_asks(page: Page, website: Any) -> None:
    await website.set_up(outboundLinks=True)
    website.body = (
        '<a id="in" href="/inside"><b>In</b></a><a id="out" href="http://other.localhost/?x=1"><b>Out</b></a>'
    )
    await website.visit(page, website.at(SHOP))
    await page.evaluate("addEventListener('click', event => event.preventDefault())")
    await page.click("#in b")
    async with page.expect_response(COLLECT):
        await page.click("#out b")
    _, outbound = await website.stored(2)
    assert (outbound["name"], outbound["props"]) == ("outbound", {"url": "http://other.localhost/?x=1"})


async def test_a_page_that_comes_back_from_the_back_forward_cache_is_a_page_view(page: Page, website: Any) -> None:
    await website.set_up()
    website.body = "<script>onpageshow = event => event.persisted && CourseSignal.track('restored')</script>"
    await website.visit(page, website.at(SHOP, "/first"))
    await website.visit(page, website.at(SHOP, "/second"))
    await page.evaluate("setTimeout(() => history.back())")
    events = await website.stored(4)
    assert {event["name"] for event in events if event["type"] == "custom"} == {"restored"}
    views = [event["url"] for event in events if event["type"] == "pageview"]
    assert views == [website.at(SHOP, path) for path in ("/first", "/second", "/first")]


async def test_what_is_under_way_when_the_tab_is_closed_arrives(page: Page, website: Any) -> None:
    await website.set_up()
    await website.visit(page, website.at(SHOP))
    await page.evaluate("fetch = () => new Promise(() => {}); CourseSignal.track('bought'); 0")
    await page.close()
    assert [event["name"] for event in await website.stored(2)] == [None, "bought"]
