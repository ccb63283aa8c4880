"""A Chromium, the application over real HTTP, and websites on hosts under .localhost that carry a tenant's snippet."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from coursesignal.app import create_app
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.live import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
COLLECT = "**/api/tracking/event"


@pytest.fixture(scope="module")
async def server(installation: Runtime) -> AsyncIterator[str]:
    """The web application on a free port, in this event loop."""
    port = free_port()
    app = create_app(installation, manage_runtime=False)
    serving = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))  # type: ignore[arg-type]
    task = asyncio.create_task(serving.serve())
    while not serving.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    serving.should_exit = True
    await task


@pytest.fixture(scope="module")
async def chromium(anyio_backend: str) -> AsyncIterator[Browser]:
    assert CHROMIUM, "Chromium is needed: apt-get install -y chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    opened = await chromium.new_context()
    yield opened
    await opened.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    opened = await context.new_page()
    opened.on("pageerror", lambda error: pytest.fail(f"the page saw {error}"))
    return opened


class _Page(http.server.BaseHTTPRequestHandler):
    """The same page at every address, got or posted to."""

    def do_GET(self) -> None:
        body = self.server.website.html.encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests print enough."""


@dataclass
class Website:
    """A tenant's pages on every host under .localhost: the snippet of its settings, and what a test puts into them."""

    tenant: ActingTenant
    server: str
    port: int = 0
    snippet: str = ""
    body: str = ""

    @property
    def html(self) -> str:
        return f"<!doctype html><html><head><title>A course</title>{self.snippet}</head><body>{self.body}</body></html>"

    def at(self, host: str, path: str = "/") -> str:
        """An address: ``at("www.shop", "/a")``."""
        return f"http://{host}.localhost:{self.port}{path}"

    async def set_up(self, **settings: Any) -> None:
        """Change the site's settings, and paste the snippet that follows from them."""
        headers = self.tenant.headers
        async with httpx.AsyncClient(base_url=self.server, headers=headers) as http_client:
            path = f"/api/tracking/sites/{self.tenant.site_id}"
            assert (await http_client.patch(path, json=settings)).status_code == 200
            generated = (await http_client.get("/api/script/generate")).json()["snippet"]
        self.snippet = generated.replace("http://coursesignal.test", self.server)

    async def visit(self, page: Page, address: str) -> None:
        """Open an address and wait until its page view is acknowledged."""
        async with page.expect_response(COLLECT) as answered:
            await page.goto(address)
        assert (await answered.value).status == 202

    async def events(self) -> list[Any]:
        """What is stored, oldest first."""
        async with self.tenant.transaction() as conn:
            found: list[Any] = await conn.fetch(
                "select * from events where tenant_id = $1 order by occurred_at", self.tenant.id
            )
        return found

    async def stored(self, count: int) -> list[Any]:
        """The events, once there are so many."""

        async def enough() -> Any:
            found = await self.events()
            return found if len(found) >= count else None

        found: list[Any] = await eventually(enough)
        return found


async def eventually(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer within 10 s."""
    async with asyncio.timeout(10):
        while not (answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture
def website(server: str, tenant: ActingTenant) -> Iterator[Website]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as pages:
        shop = Website(tenant, server, pages.server_address[1])
        pages.website = shop  # type: ignore[attr-defined]
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield shop
        pages.shutdown()
