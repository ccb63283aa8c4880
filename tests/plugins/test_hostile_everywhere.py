"""Hostile text through every door, read back from every report, file, page and mail: kept literally, and harmless there."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import pytest

from coursesignal.analytics.exportable import EXPORTABLE
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.pages import browser_headers
from coursesignal.testing.platforms import FakeTeachable, use_platform

Run = Callable[[], Awaitable[None]]
PAYLOAD = Path(__file__).parent / "payloads" / "teachable" / "transaction_created.json"
NOW = datetime.now(UTC).replace(microsecond=0)
TEXTS = [
    "=1+1",
    "+SUM(A1:A9)",
    "-2+3",
    "@sum(a1)",
    "\t=1+1",
    "\r=1+1",
    " =cmd|' /c calc'!a0",
    "\uff1d1+1",
    "\u200b=1+1",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> '",
    "javascript:alert(1)//",
    "{{7*7}}{% raise %}${7*7}",
    "'; drop table purchases; --",
    "\u202egnp.exe\u2066",
    "e\u0301" * 40 + "💥",
    "\uffff\ufffe",
    "a\r\nBcc: victim@example.com\r\n\r\n<b>",
    "%00%ff%0d%0a",
    "../../../etc/passwd\\x",
    "long " + "x" * 4090,
]
HEADERS = {
    "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding", "auto-submitted",
    "x-auto-response-suppress",
}  # fmt: skip
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
SHOWN = 60
"""So much of a text must come back; sources and names are cut at a few hundred characters."""


def buyer(number: int) -> str:
    return f"buyer{number}@example.com"


@pytest.fixture(scope="module")
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture(scope="module")
async def tenant(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, run_jobs: Run
) -> ActingTenant:
    """A tenant to whom every text came through its links, its visitors, its platform and its own settings."""
    attacked = await make_tenant()
    for number, text in enumerate(TEXTS):
        await _visit(client, attacked, number, text)
    await run_jobs()
    connected = await client.post("/api/teachable/connect", json={"apiKey": school.api_key}, headers=attacked.headers)
    hook = urlsplit(connected.json()["webhookUrl"]).path
    for number, text in enumerate(TEXTS):
        assert (await client.post(hook, content=_sale(number, text))).status_code == 202
        goal = {"name": text[:200], "kind": "event", "target": text[:200]}
        made = await client.post("/api/analytics/goals", json=goal, headers=attacked.headers)
        assert made.status_code == 201, made.text
    await run_jobs()
    return attacked


async def _visit(client: httpx.AsyncClient, tenant: ActingTenant, number: int, text: str) -> None:
    """One visitor whose link, page, name and events say the text; as much of it as each field takes."""
    said, at = quote(text[:1500], safe=""), (NOW - timedelta(days=2)).isoformat()
    url = f"https://www.example.com/{said[:300]}?" + "&".join(
        f"utm_{name}={said}" for name in ("source", "medium", "campaign", "content", "term")
    )
    url = url if len(url) < 8000 else f"https://www.example.com/?utm_source={said}"
    events: list[dict[str, object]] = [
        {"type": "pageview", "url": url, "title": text, "referrer": f"https://{said[:60]}.example/"},
        {"type": "identify", "url": url, "email": buyer(number), "name": text[:200]},
        {"type": "custom", "url": url, "name": text[:200], "props": {"source": text, text[:100]: text}},
        {"type": "custom", "url": url, "name": "self_reported", "props": {"source": text[:200]}},
    ]
    body = {
        "siteKey": tenant.site_key,
        "visitorId": str(uuid4()),
        "events": [{"eventId": str(uuid4()), "at": at, **event} for event in events],
    }
    answer = await client.post("/api/tracking/event", json=body)
    assert answer.json() == {"accepted": len(events), "dropped": []}, text


def _sale(number: int, text: str) -> bytes:
    told = json.loads(PAYLOAD.read_text())
    told["id"] = told["object"]["id"] = 71_000 + number
    told["object"] |= {"purchased_at": NOW.isoformat(), "user_id": number, "final_price": 1_000 + number}
    told["object"]["user"] = {"id": number, "email": buyer(number), "name": text}
    told["object"]["sale"] = {"id": 60_000 + number, "product": {"id": number, "name": text}}
    return json.dumps(told).encode()


async def read(client: httpx.AsyncClient, tenant: ActingTenant, path: str, **query: str) -> Any:
    answer = await client.get(path, params=query, headers=tenant.headers)
    assert answer.status_code == 200, (path, answer.text[:300])
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.json()


def texts_in(found: Any) -> Iterator[str]:
    """Every text of an answer, keys included."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for key, value in found.items():
            yield key
            yield from texts_in(value)
    elif isinstance(found, list):
        for value in found:
            yield from texts_in(value)


def squeezed(text: str) -> str:
    """Without what some fields join: upper case and white space."""
    return "".join(text.lower().split())


def missing(said: str) -> list[str]:
    """Which of the texts are not in what was said."""
    return [text for text in TEXTS if squeezed(text)[:SHOWN] not in squeezed(said)]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/analytics/sources", {}),
        ("/api/analytics/ledger", {"limit": "200"}),
        ("/api/analytics/recent-purchases", {"limit": "200"}),
        ("/api/analytics/students", {"limit": "200"}),
        ("/api/analytics/lifetime-value", {}),
        ("/api/analytics/models/compare", {}),
        ("/api/analytics/self-reported", {}),
        ("/api/analytics/content", {"by": "campaign", "limit": "200"}),
        ("/api/people", {"limit": "200"}),
    ],
)
async def test_what_was_said_comes_back_literally(
    client: httpx.AsyncClient, tenant: ActingTenant, path: str, query: dict[str, str]
) -> None:
    assert missing("\n".join(texts_in(await read(client, tenant, path, **query)))) == []


async def test_every_other_report_answers_json(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    schema = (await client.get("/api/schema/openapi.json")).json()
    asked = [
        path for path, methods in schema["paths"].items() if path.startswith("/api/analytics/") and "get" in methods
    ]
    plain = [path for path in asked if "{" not in path and not path.endswith("/export")]
    assert len(plain) > 15
    for path in plain:
        await read(client, tenant, path, range="7d")
    for text in TEXTS:
        await read(client, tenant, f"/api/analytics/drilldown/{quote(text.lower()[:512], safe='')}", range="7d")


@pytest.mark.parametrize("report", EXPORTABLE)
async def test_no_file_holds_anything_a_spreadsheet_would_run(
    client: httpx.AsyncClient, tenant: ActingTenant, report: str
) -> None:
    query = {"report": report, "range": "7d", "source": TEXTS[0]}
    answer = await client.get("/api/analytics/export", params=query, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="coursesignal-{report}-')
    header, *lines = csv.reader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    assert lines and {len(line) for line in lines} == {len(header)}
    for cell in (cell for line in (header, *lines) for cell in line):
        start = cell.lstrip(" \u00a0\u200b\ufeff")
        assert not start.startswith(FORMULA_STARTS) or _is_number(cell), (report, cell)
    answer = await client.get("/api/analytics/export", params=query | {"format": "json"}, headers=tenant.headers)
    assert answer.json() and answer.headers["content-type"] == "application/json"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


class Harmless(HTMLParser):
    """A page that runs nothing of what it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        assert tag not in {"iframe", "object", "embed", "base", "style"}
        assert tag != "script" or said["src"].startswith("/")
        assert not [name for name in said if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "formaction", "data-panel"):
            assert said.get(name, "/").startswith(("/", "#", "?", "http://", "https://", "mailto:")), said
        if tag == "a":
            self.links.append(said.get("href", ""))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def test_no_page_runs_what_it_shows(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    """Every page that can be reached from the dashboard by following links."""
    headers = await browser_headers(tenant)
    start = f"/app/{tenant.tenant.slug}"
    waiting, seen, words = [f"{start}/dashboard"], set[str](), ""
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith(start) or len(seen) > 150:
            continue
        seen.add(path)
        answer = await client.get(path, headers=headers, follow_redirects=True)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert answer.status_code == 200, (path, answer.status_code)
        assert (
            "script-src 'self'" in answer.headers["content-security-policy"]
            or "default-src 'self'" in (answer.headers["content-security-policy"])
        )
        page = Harmless(answer.text)
        words += "".join(page.words)
        waiting += page.links
    assert len(seen) > 40
    assert missing(words) == []


async def test_settings_keep_a_text_or_say_what_is_wrong_with_it(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    for text in (*TEXTS, "\x00", "a\x00b"):
        for method, path, body in (
            ("POST", "/api/analytics/goals", {"name": text, "kind": "event", "target": text}),
            ("POST", "/api/analytics/segments", {"name": text, "filter": f"source:{text}"}),
            ("PUT", "/api/analytics/coupon-sources", {"codes": [{"code": text, "source": text}]}),
            ("POST", "/api/tracking/sites", {"name": text}),
            ("POST", "/api/api-keys", {"name": text, "scopes": ["analytics:read"]}),
            ("POST", "/api/people/self-reported", {"email": buyer(0), "source": text}),
            ("PATCH", f"/api/tenants/{tenant.tenant.slug}", {"name": text}),
        ):
            answer = await client.request(method, path, json=body, headers=tenant.headers)
            if answer.status_code < 300:
                kept = "\n".join(texts_in(answer.json()))
                assert "\x00" not in kept
            else:
                assert answer.status_code in {400, 409, 413, 422, 429}, (path, text, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["title"]
    names = await read(client, tenant, "/api/analytics/goals")
    assert any("<script>" in text for text in texts_in(names))


async def test_mails_carry_it_in_their_text_and_never_in_their_headers(
    client: httpx.AsyncClient, tenant: ActingTenant, installation: Runtime, run_jobs: Run
) -> None:
    for text in TEXTS:
        await client.patch(f"/api/tenants/{tenant.tenant.slug}", json={"name": text}, headers=tenant.headers)
        invited = {"email": f"{uuid4().hex}@example.com", "role": "viewer"}
        await client.post(f"/api/tenants/{tenant.tenant.slug}/members", json=invited, headers=tenant.headers)
    await run_jobs()
    await installation.mailer.deliver_due()
    sent = [path.read_bytes() for path in installation.settings.mail_dir.glob("*.eml")]
    assert len(sent) > 5
    for mail in (email.message_from_bytes(raw, policy=email.policy.default) for raw in sent):
        assert {name.lower() for name in mail} <= HEADERS
        assert [name.lower() for name in mail].count("to") == [name.lower() for name in mail].count("subject") == 1
        assert "victim@example.com" not in f"{mail['to']}{mail['cc']}{mail['bcc']}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "Transaction.created", "object": {"id": 1, "final_price": 1180591620717411303424, "currency": "USD"}}',
        b'{"type": "Transaction.created", "object": "\xff\xfe"}',
        b'{"type": "Transaction.created", "object": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"type": "Transaction.created", "object": {"id": 1, "final_price": 5, "currency": "\\ud800"}}',
    ],
    ids=["2^70", "bad UTF-8", "deep", "lone surrogate"],
)
async def test_a_webhook_that_cannot_be_understood_says_so_where_the_tenant_looks(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, run_jobs: Run, body: bytes
) -> None:
    other = await make_tenant()
    connected = await client.post("/api/teachable/connect", json={"apiKey": school.api_key}, headers=other.headers)
    answer = await client.post(urlsplit(connected.json()["webhookUrl"]).path, content=body)
    assert answer.status_code == 202
    await run_jobs()
    (item,) = (await read(client, other, "/api/connections/inbox"))["items"]
    assert item["status"] == "quarantined" and item["problem"]
    await read(client, other, f"/api/connections/inbox/{item['id']}")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ('"title": "a\\u0000b"', "invalid-text"),
        ('"props": {"n": ' + "[" * 60 + "]" * 60 + "}", "invalid-props"),
        ('"props": {"n": 1e400}', None),
        ('"title": "\\ud800"', None),
        ('"url": "https://www.example.com/?' + "x" * 9000 + '"', "too-long"),
    ],
    ids=["NUL", "deep", "infinite", "lone surrogate", "9 KB"],
)
async def test_an_event_that_cannot_be_kept_is_counted_or_refused(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run, event: str, reason: str | None
) -> None:
    other = await make_tenant()
    content = (
        f'{{"siteKey": "{other.site_key}", "visitorId": "{uuid4()}", "event": {{"eventId": "{uuid4()}", '
        f'"type": "pageview", "url": "https://www.example.com/", {event}}}}}'
    )
    answer = await client.post("/api/tracking/event", content=content)
    if reason is None:
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        return
    assert answer.json()["dropped"][0]["reason"] == reason
    await run_jobs()
    assert (await read(client, other, "/api/script/info"))["dropped"] == {reason: 1}
