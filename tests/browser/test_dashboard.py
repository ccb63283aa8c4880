"""A creator works with the pages in a real browser: they load clean, fit a phone, and need neither a mouse nor curl."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from coursesignal.serve import ServerProcess, environment
from coursesignal.testing.live import live_server, wait_for
from coursesignal.testing.platforms import FakeKajabi

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOGIN = {"email": "vera@example.com", "password": "a long enough pass phrase"}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def kajabi() -> Iterator[FakeKajabi]:
    platform = FakeKajabi(client_id="client", client_secret="secret")
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, kajabi: FakeKajabi) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("dashboard")
    with live_server(home, plugins_file=ROOT / "plugins.toml", platform_urls={"kajabi": kajabi.url}) as process:
        yield process


@pytest.fixture(scope="module")
def api(server: ServerProcess) -> httpx.Client:
    """The API as the owner of a fresh tenant."""
    env = {**os.environ, **environment(server.settings)}
    command = [sys.executable, "-m", "coursesignal"]
    user = ["users", "create", "--email", LOGIN["email"], "--password", LOGIN["password"], "--verified"]
    tenant = ["tenants", "create", "--slug", "vera", "--name", "Vera", "--owner", LOGIN["email"]]
    for words in (user, tenant):
        subprocess.run([*command, *words], env=env, check=True, timeout=60)
    client = httpx.Client(base_url=server.url, timeout=10)
    token = client.post("/api/auth/login", json=LOGIN).json()["accessToken"]
    client.headers["authorization"] = f"Bearer {token}"
    return client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def log_in(page: Page, server: ServerProcess) -> list[str]:
    """Log in through the form and land on the dashboard; the list collects what the browser complains about."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.goto(f"{server.url}/login?next=/app/vera/dashboard")
    page.get_by_label("E-mail").fill(LOGIN["email"])
    page.get_by_label("Password").fill(LOGIN["password"])
    page.get_by_role("button").click()
    page.wait_for_url("**/app/vera/dashboard")
    return complaints


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; CI installs one")
REPORTS = ("models", "funnel", "journeys", "content", "students", "products", "goals", "coverage")
PAGES = (
    "dashboard", "dashboard/purchases", *(f"dashboard/{name}" for name in REPORTS), "launches", "recommendations",
    "connections", "plugins",
)  # fmt: skip


@needs_chromium
def test_a_creator_connects_and_a_sale_shows_and_opens_onto_its_way(
    server: ServerProcess, kajabi: FakeKajabi, api: httpx.Client, browser: Any
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    complaints = log_in(page, server)
    page.get_by_text("Set up in two steps").wait_for()
    assert 'data-site="' in page.locator("pre").inner_text()
    _connect(page)

    _visit_and_buy(api, kajabi)
    page.get_by_role("link", name="Dashboard").click()
    page.get_by_role("link", name=HOSTILE).first.wait_for()
    for panel in ("Launches", "Recommendations"):
        section = page.locator("section[data-panel]", has=page.get_by_role("heading", name=panel))
        section.locator("xpath=self::*[not(@aria-busy)]").wait_for()
        assert "not available" not in section.inner_text()
    page.locator("section[aria-labelledby=recent] tbody a").first.click()
    page.get_by_role("heading", name="The way to this purchase").wait_for()
    assert HOSTILE in page.locator("ol.path").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [complaint for complaint in complaints if "status of 422" not in complaint] == []  # the wrong secret's
    page.close()


def _connect(page: Page) -> None:
    """With a wrong secret first: the platform's words stand above the form, which keeps what is no secret."""
    page.get_by_role("link", name="Connect the platform").click()
    form = page.locator("form", has=page.get_by_role("button", name="Connect Kajabi"))
    form.get_by_label("API key").fill("client")
    form.get_by_label("API secret").fill("a guess")
    form.get_by_role("button").click()
    page.get_by_role("alert").get_by_text("unknown client").wait_for()
    assert form.get_by_label("API key").input_value() == "client"
    assert form.get_by_label("API secret").input_value() == ""
    form.get_by_label("API secret").fill("secret")
    form.get_by_role("button").click()
    page.get_by_role("status").get_by_text("Connected.").wait_for()


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_the_screen_and_loads_clean(
    server: ServerProcess, api: httpx.Client, browser: Any, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    complaints = log_in(page, server)
    for path in PAGES:
        page.goto(f"{server.url}/app/vera/{path}", wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.locator("h1").count() == 1
        assert page.locator("nav a[aria-current=page]").count() == 1, path
    assert not complaints
    page.close()


@needs_chromium
def test_a_launch_is_added_without_a_mouse(server: ServerProcess, api: httpx.Client, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints = log_in(page, server)
    page.goto(f"{server.url}/app/vera/launches")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "title":
            break
    page.keyboard.type("Open cart")
    for label, moment in (("Cart opens", "2026-11-02T09:00"), ("Cart closes", "2026-11-09T09:00")):
        # how its parts are typed is the browser's language's business
        page.get_by_label(label, exact=True).fill(moment)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Open cart", level=1).wait_for()
    assert not complaints
    page.close()


def _visit_and_buy(api: httpx.Client, kajabi: FakeKajabi) -> None:
    """A visitor from a hostile source identifies and buys."""
    key = api.get("/api/script/generate").json()["siteKey"]
    url = f"https://example.com/?utm_source={quote(HOSTILE)}"
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()  # platforms tell whole seconds: never after the sale
    event = {"eventId": str(uuid4()), "type": "identify", "at": at, "url": url, "email": "pat@example.com"}
    sent = api.post(
        "/api/tracking/event", json={"siteKey": key, "visitorId": str(uuid4()), "events": [event]},
        headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"},
    )  # fmt: skip
    assert sent.status_code == 202, sent.text
    kajabi.sell("pat@example.com", 19_900, "USD")
    with ThreadPoolExecutor(1) as aside:  # Playwright has a running loop in this thread
        aside.submit(asyncio.run, kajabi.deliver()).result(timeout=30)

    def credited() -> bool:
        items = api.get("/api/analytics/recent-purchases").json()["items"]
        return bool(items) and items[0]["source"] is not None

    wait_for(credited, 10, "the credited sale")
