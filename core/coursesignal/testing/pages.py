"""Pages for tests: a tenant's owner with a browser session, and what a page says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from coursesignal.auth.callers import COOKIE
from coursesignal.auth.sessions import open_browser_session

if TYPE_CHECKING:
    import httpx

    from coursesignal.testing.fixtures import ActingTenant


class Page(HTMLParser):
    """What a test looks for in a page: its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """All that is to be read, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such tag, in order."""
        return [attributes for name, attributes in self.tags if name == tag]


async def browser_headers(tenant: ActingTenant) -> dict[str, str]:
    """What the browser of the tenant's owner sends: a new session's cookie."""
    async with tenant.runtime.database.control() as conn:
        session = await open_browser_session(conn, tenant.owner_id)
    return {"cookie": f"{COOKIE}={session.token}", "accept": "text/html"}


async def visit(http: httpx.AsyncClient, tenant: ActingTenant, path: str, status: int = 200) -> Page:
    """The page that the tenant's owner gets at ``path`` below ``/app/{tenant}/``, answered with ``status``."""
    answer = await http.get(f"/app/{tenant.tenant.slug}/{path}", headers=await browser_headers(tenant))
    assert answer.status_code == status, answer.text
    return Page(answer.text)
