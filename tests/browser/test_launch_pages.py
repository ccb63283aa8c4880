"""The pages of launches in a real browser: they fit a phone and a desk, load clean, and numbers move without a reload."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import BrowserContext, Page

from coursesignal.testing.fixtures import ActingTenant
from coursesignal.testing.history import History

pytestmark = pytest.mark.browser
NOW = datetime.now(UTC).replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SHOTS = os.environ.get("COURSESIGNAL_SHOTS", "")
"""Where to leave pictures of the pages, for somebody to look at."""


async def furnish(http: httpx.AsyncClient, tenant: ActingTenant) -> tuple[History, str, str]:
    """A launch that is over, one that runs and one to come, with buyers from three sources: the running one and a link."""
    past, made = History(tenant), []
    for title, start, days in (("Autumn cohort", -30, 6), ("Spring cohort", -3, 6), ("Summer cohort", 20, 5)):
        body = {
            "title": title, "startsAt": (NOW + start * DAY).isoformat(), "endsAt": (NOW + (start + days) * DAY).isoformat(),
            "prelaunchAt": (NOW + (start - 7) * DAY).isoformat(), "revenueGoalMinor": 2_500_000, "salesGoal": 60,
        }  # fmt: skip
        answer = await http.post("/api/launches", json=body, headers=tenant.headers)
        made.append(answer.json()["id"])
    for number in range(36):
        opened = NOW - (30 if number % 2 else 3) * DAY
        at, email = opened + number * HOUR * 2, f"buyer{number}@example.com"
        source = ("youtube", "newsletter", "a-very-long-source-name-that-nobody-shortened")[number % 3]
        await past.visit(f"v{number}", at - (2 if number % 4 else 200) * HOUR, source, email=email)
        await past.sale(email, 49_900 + number, min(at, NOW), product="Drawing from the very beginning")
    await past.credit()
    shared = await http.post(f"/api/launches/{made[1]}/enable-share", headers=tenant.headers)
    return past, made[1], shared.json()["pageUrl"]


async def log_in(page: Page, server: str, tenant: ActingTenant) -> None:
    await page.goto(f"{server}/login?next=/app/{tenant.tenant.slug}/launches")
    await page.get_by_label("E-mail").fill(tenant.email)
    await page.get_by_label("Password").fill(tenant.password)
    await page.get_by_role("button").click()
    await page.wait_for_url(f"**/app/{tenant.tenant.slug}/launches")


async def test_pages_of_launches_fit_every_screen_and_numbers_move_by_themselves(
    server: str, tenant: ActingTenant, client: httpx.AsyncClient, context: BrowserContext, page: Page
) -> None:
    past, running, link = await furnish(client, tenant)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await log_in(page, server, tenant)
    home = f"{server}/app/{tenant.tenant.slug}/launches"
    addresses: dict[str, Any] = {
        "list": home, "launch": f"{home}/{running}", "edit": f"{home}/{running}/edit", "share": f"{home}/{running}/share",
        "compare": f"{home}/compare", "recap": f"{server}{link}",
    }  # fmt: skip
    for width in (390, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        for name, address in addresses.items():
            await page.goto(address)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)
    await page.goto(addresses["launch"])
    await page.locator("[data-live-state]", has_text="Live").wait_for()
    before = await page.locator("[data-live=purchases]").inner_text()
    await past.sale("late@example.com", 10_000, NOW)
    await page.wait_for_function(
        "before => document.querySelector('[data-live=purchases]').textContent !== before", arg=before
    )
    assert int(await page.locator("[data-live=purchases]").inner_text()) == int(before) + 1
    assert complaints == []
