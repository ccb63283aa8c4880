"""What a visit was made with, from where, by whom and when, as far as it can be told without keeping an address."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.bots import automation
from coursesignal.tracking.collect import CollectApp
from coursesignal.tracking.devices import device_of
from coursesignal.tracking.networks import Networks
from coursesignal.tracking.reasons import DropReason

PATH = "/api/tracking/event"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)
HEADLESS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36"
)

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def view(
    client: httpx.AsyncClient, tenant: ActingTenant, user_agent: str = FIREFOX, *, visitor: str = "", **extra: Any
) -> dict[str, Any]:
    at = {"at": extra.pop("at").isoformat()} if "at" in extra else {}
    event = {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/", **at}
    body = {"siteKey": tenant.site_key, "visitorId": visitor or str(uuid4()), "events": [event], **extra}
    answer = await client.post(PATH, json=body, headers={"user-agent": user_agent})
    assert answer.status_code == 202, answer.text
    return event


async def rows(tenant: ActingTenant, table: str, order: str) -> list[Any]:
    async with tenant.transaction() as conn:
        found: list[Any] = await conn.fetch(f"select * from {table} where tenant_id = $1 order by {order}", tenant.id)
    return found


async def drops(tenant: ActingTenant) -> dict[str, int]:
    return {row["reason"]: row["hits"] for row in await rows(tenant, "drop_counts", "reason")}


async def test_a_session_knows_its_device_browser_and_system_and_keeps_them(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    visitor, now = str(uuid4()), datetime.now(UTC)
    await view(client, tenant, IPHONE, visitor=visitor, at=now - timedelta(minutes=20))
    await run_jobs()
    await view(client, tenant, FIREFOX, visitor=visitor, at=now - timedelta(minutes=5))
    await run_jobs()
    (session,) = await rows(tenant, "sessions", "started_at")
    assert [session[name] for name in ("device", "browser", "system", "country")] == ["mobile", "Safari", "iOS", ""]
    await view(client, tenant, FIREFOX, visitor=visitor, at=now - timedelta(minutes=30))
    await run_jobs()
    (rewritten,) = await rows(tenant, "sessions", "started_at")
    assert [rewritten[name] for name in ("device", "browser", "system")] == ["desktop", "Firefox", "Linux"]


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("", ("", "", "")),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
         ("desktop", "Chrome", "Windows")),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 "
         "Safari/605.1.15", ("desktop", "Safari", "macOS")),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.1 "
         "Mobile/15E148 Safari/604.1", ("tablet", "Chrome", "iOS")),
        ("Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile "
         "Safari/537.36", ("mobile", "Chrome", "Android")),
        ("Mozilla/5.0 (Linux; Android 14; SM-X900) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
         ("tablet", "Chrome", "Android")),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 "
         "Chrome/76.0.3809.146 TV Safari/537.36", ("tv", "Samsung Internet", "Tizen")),
        ("\x00\u202e" * 300, ("", "", "")),
    ],
)  # fmt: skip
def test_user_agents_are_read_into_what_reports_can_filter_by(user_agent: str, expected: tuple[str, ...]) -> None:
    assert device_of(user_agent) == expected


@pytest.mark.parametrize(
    ("user_agent", "reason"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/120.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", "bot"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "bot"),
        ("Scrapy/2.11 (+https://scrapy.org)", "bot"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/140.0 Safari/537.36 Prerender (+https://prerender.example.com)", "bot"),
        (HEADLESS, "headless"),
        ("curl/8.5.0", "http-client"),
        ("python-httpx/0.28.1", "http-client"),
        ("", None),
        (FIREFOX, None),
        (IPHONE, None),
        ("Mozilla/5.0 (Linux; Android 7.0; M bot 60 Build/NRD90M) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/74.0 "
         "Mobile Safari/537.36", None),
        ("Mozilla/5.0 (Linux; Android 13; Spider 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", None),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 "
         "[FBAN/FBIOS;FBAV/450.0;FBDV/iPhone14,5]", None),
        ("DoCoMo/2.0 P901i(c100;TB;W24H11) (compatible; examplebot/1.0; +http://search.example.com/bot.html)", "bot"),
        ("Nokia6820/2.0 (4.83) Profile/MIDP-1.0 Configuration/CLDC-1.0 (compatible; Someonebot-Mobile/1; http://a.co)", "bot"),
        ("DoCoMo/2.0 P901i(c100;TB;W24H11)", None),
        ("Nokia6820/2.0 (4.83) Profile/MIDP-1.0 Configuration/CLDC-1.0", None),
    ],
)  # fmt: skip
def test_crawlers_automation_and_people_are_told_apart(user_agent: str, reason: str | None) -> None:
    assert automation(user_agent) == reason


async def test_automation_counts_and_is_marked_until_the_tenant_sets_it_aside(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    await view(client, tenant, HEADLESS)
    await view(client, tenant, "curl/8.5.0")
    await run_jobs()
    assert [session["device"] for session in await rows(tenant, "sessions", "id")] == ["automated"] * 2
    assert await drops(tenant) == {}
    settings = f"/api/tenants/{tenant.tenant.slug}"
    answer = await client.patch(settings, json={"countAutomation": False}, headers=tenant.headers)
    assert answer.json()["countAutomation"] is False
    for user_agent in (HEADLESS, "curl/8.5.0", "curl/8.5.0", FIREFOX):
        await view(client, tenant, user_agent)
    await run_jobs()
    assert len(await rows(tenant, "sessions", "id")) == 3
    assert await drops(tenant) == {"headless": 1, "http-client": 2}
    verdicts = {event["verdict"] for event in await rows(tenant, "events", "event_id")}
    assert verdicts == {"ok", "headless", "http-client"}


def mmdb(path: Path, addresses: Mapping[str, bytes]) -> Path:
    """A MaxMind file of IPv4 addresses, written by its format's specification: a binary tree, then the records."""
    nodes: list[list[int | None]] = [[None, None]]
    leaves: list[tuple[int, int, bytes]] = []
    for address, record in addresses.items():
        node, bits = 0, f"{int(ip_address(address)):032b}"
        for bit in map(int, bits[:-1]):
            if nodes[node][bit] is None:
                nodes[node][bit] = len(nodes)
                nodes.append([None, None])
            node = nodes[node][bit] or 0
        leaves.append((node, int(bits[-1]), record))
    data = b""
    for node, bit, record in leaves:
        nodes[node][bit] = len(nodes) + 16 + len(data)
        data += record
    tree = b"".join(struct.pack(">II", *(len(nodes) if side is None else side for side in node)) for node in nodes)
    head = {
        "node_count": b"\xc4" + struct.pack(">I", len(nodes)),
        "record_size": small(32),
        "ip_version": small(4),
        "binary_format_major_version": small(2),
        "binary_format_minor_version": small(0),
        "build_epoch": b"\x08\x02" + struct.pack(">Q", 1),
        "database_type": text("Test"),
        "languages": b"\x00\x04",
        "description": mapping({}),
    }
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + mapping(head))
    return path


def small(value: int) -> bytes:
    return b"\xa2" + struct.pack(">H", value)


def text(value: str) -> bytes:
    size = bytes([0x40 | len(value)]) if len(value) < 29 else bytes([0x40 | 29, len(value) - 29])
    return size + value.encode()


def mapping(values: Mapping[str, bytes]) -> bytes:
    return bytes([0xE0 | len(values)]) + b"".join(text(key) + value for key, value in values.items())


async def test_country_and_data_centre_are_read_from_the_operators_files_and_no_address_is_kept(
    installation: Runtime, client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run, tmp_path: Path
) -> None:
    countries = mmdb(
        tmp_path / "country.mmdb", {"81.2.69.142": mapping({"country": mapping({"iso_code": text("GB")})})}
    )
    networks = mmdb(
        tmp_path / "asn.mmdb", {"52.1.2.3": mapping({"autonomous_system_organization": text("AMAZON-AES")})}
    )
    settings = msgspec.structs.replace(installation.settings, geoip_database=countries, asn_database=networks)
    app = CollectApp(client._transport.app._inner, installation.database, installation.keys, settings)  # type: ignore[attr-defined]
    for address in ("81.2.69.142", "52.1.2.3", "10.0.0.1"):
        transport = httpx.ASGITransport(app=app, client=(address, 1234))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://coursesignal.test") as http:
            await view(http, tenant)
    await app._commit.close()
    await run_jobs()
    found = [(session["country"], session["device"]) for session in await rows(tenant, "sessions", "started_at")]
    assert found == [("GB", "desktop"), ("", "automated"), ("", "desktop")]
    for event in await rows(tenant, "events", "event_id"):
        assert not any("81.2.69" in str(value) or "52.1.2" in str(value) for value in event.values())


def test_a_file_that_is_no_maxmind_database_is_named_at_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_text("not a database")
    for path in (broken, tmp_path / "missing.mmdb"):
        with pytest.raises(ConfigurationError, match="COURSESIGNAL_GEOIP_DATABASE"):
            Networks(path, None)


async def test_a_wrong_clock_is_corrected_and_counted(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    now = datetime.now(UTC)
    for wrong in (timedelta(hours=5), -timedelta(days=2)):
        clock = now + wrong
        event = await view(client, tenant, at=clock - timedelta(minutes=10), sentAt=clock.isoformat())
        (stored,) = [
            row for row in await rows(tenant, "events", "event_id") if str(row["event_id"]) == event["eventId"]
        ]
        assert abs(stored["occurred_at"] - (now - timedelta(minutes=10))) < timedelta(seconds=30)
    right = now - timedelta(minutes=3)
    event = await view(client, tenant, at=right, sentAt=now.isoformat())
    assert right in {row["occurred_at"] for row in await rows(tenant, "events", "event_id")}
    await view(client, tenant, at=now + timedelta(hours=5))
    await view(client, tenant, at=now - timedelta(days=40))
    await run_jobs()
    expected = {"clock-corrected": 2, "future-time": 1, "too-old-time": 1}
    assert await drops(tenant) == expected
    info = (await client.get("/api/script/info", headers=tenant.headers)).json()
    assert (info["dropped"], info["corrected"]) == ({}, expected)
    assert max(row["occurred_at"] for row in await rows(tenant, "events", "event_id")) <= datetime.now(UTC)


async def test_a_retry_whose_clock_is_corrected_again_is_one_event(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    clock = datetime.now(UTC) + timedelta(hours=1)
    event = {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/", "at": clock.isoformat()}
    visitor = str(uuid4())
    for later in range(3):
        sent_at = (clock + timedelta(seconds=later)).isoformat()
        body = {"siteKey": tenant.site_key, "visitorId": visitor, "events": [event], "sentAt": sent_at}
        assert (await client.post(PATH, json=body, headers={"user-agent": FIREFOX})).status_code == 202
    await run_jobs()
    assert len(await rows(tenant, "events", "event_id")) == 1
    assert [session["events"] for session in await rows(tenant, "sessions", "id")] == [1]


def test_every_reason_is_named_in_the_documents() -> None:
    from importlib.resources import files

    from coursesignal.tracking.reasons import Correction

    page = (files("coursesignal") / "docs" / "channels.md").read_text(encoding="utf-8")
    for reason in (*DropReason, *Correction):
        assert f"`{reason.value}`" in page, reason
