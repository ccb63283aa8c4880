"""A real browser opens a page with the snippet; the sale that follows is credited to where the visitor came from."""

from __future__ import annotations

import asyncio
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from coursesignal.serve import ServerProcess, environment
from coursesignal.testing.live import live_server, wait_for
from coursesignal.testing.platforms import FakeKajabi

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]
LOGIN = {"email": "nora@example.com", "password": "a long enough pass phrase"}


@pytest.fixture(scope="module")
def kajabi() -> Iterator[FakeKajabi]:
    platform = FakeKajabi(client_id="client", client_secret="secret")
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, kajabi: FakeKajabi) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("click")
    with live_server(home, plugins_file=ROOT / "plugins.toml", platform_urls={"kajabi": kajabi.url}) as process:
        yield process


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A creator's web site on another origin."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}", tmp_path
        site.shutdown()


def _log_in(server: ServerProcess) -> httpx.Client:
    env = {**os.environ, **environment(server.settings)}
    command = [sys.executable, "-m", "coursesignal"]
    make_user = [*command, "users", "create", "--email", LOGIN["email"], "--password", LOGIN["password"], "--verified"]
    subprocess.run(make_user, env=env, check=True, timeout=60)
    make_tenant = [*command, "tenants", "create", "--slug", "nora", "--name", "Nora", "--owner", LOGIN["email"]]
    subprocess.run(make_tenant, env=env, check=True, timeout=60)
    client = httpx.Client(base_url=server.url, timeout=10)
    answer = client.post("/api/auth/login", json=LOGIN)
    assert answer.status_code == 200, answer.text
    client.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"
    return client


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; CI installs one")
def test_a_click_from_youtube_brings_the_sale(
    server: ServerProcess, kajabi: FakeKajabi, shop: tuple[str, Path]
) -> None:
    api = _log_in(server)
    address, folder = shop
    snippet = api.get("/api/script/generate").json()["snippet"]
    (folder / "index.html").write_text(f"<!doctype html><title>Course</title>{snippet}<h1>Learn to paint</h1>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        with page.expect_response(lambda answer: answer.url.endswith("/api/tracking/event")) as sent:
            page.goto(f"{address}/?utm_source=youtube&utm_medium=video&utm_campaign=intro")
        assert sent.value.status == 202
        with page.expect_response(lambda answer: answer.url.endswith("/api/tracking/event")) as sent:
            page.evaluate("CourseSignal.identify('pat@example.com')")
        assert sent.value.status == 202
        browser.close()
    assert not errors

    connected = api.post("/api/kajabi/connect", json={"clientId": "client", "clientSecret": "secret"})
    assert connected.status_code == 200, connected.text
    assert connected.json()["webhooks"] == "registered"
    kajabi.sell("pat@example.com", 19_900, "USD")
    answers = asyncio.run(kajabi.deliver(copies=2))
    assert {answer.status_code for answer in answers} == {200, 202}

    def credited() -> dict[str, object] | None:
        items = api.get("/api/analytics/recent-purchases").json()["items"]
        return items[0] if items and items[0]["source"] == "youtube" else None

    sale = wait_for(credited, 10, "the sale credited to youtube")
    assert (sale["amountMinor"], sale["platform"]) == (19_900, "kajabi")
