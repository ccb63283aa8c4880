"""A newcomer's walk over real HTTP, from the contract alone: sign up to a sale with its source."""

from __future__ import annotations

import email
import email.policy
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from coursesignal.serve import ServerProcess, environment
from coursesignal.testing.live import live_server, wait_for
from coursesignal.testing.platforms import FakeTeachable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def teachable() -> Iterator[FakeTeachable]:
    platform = FakeTeachable(api_key="newcomers-key")
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, teachable: FakeTeachable) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("walk")
    with live_server(home, plugins_file=ROOT / "plugins.toml", platform_urls={"teachable": teachable.url}) as process:
        yield process


def _token_from_mail(home: Path, to: str) -> str | None:
    for path in sorted((home / "mail").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if to in str(message["to"]):
            body = message.get_body(("plain",))
            assert body is not None
            found = re.search(r"[?&#]token=([\w-]+)", body.get_content())
            if found:
                return found.group(1)
    return None


def test_from_sign_up_to_a_sale_with_its_source(server: ServerProcess, teachable: FakeTeachable) -> None:
    http = httpx.Client(base_url=server.url, timeout=10)
    who = {"email": "nora@example.com", "password": "a long enough pass phrase"}
    assert http.post("/api/auth/signup", json={**who, "tenantName": "Nora's Courses"}).status_code == 202
    token = wait_for(lambda: _token_from_mail(server.settings.home, who["email"]), 10, "the verification mail")
    verified = http.post("/api/auth/verify-email", json={"token": token})
    assert verified.status_code == 200, verified.text

    login = http.post("/api/auth/login", json=who)
    assert login.status_code == 200, login.text
    http.headers["authorization"] = f"Bearer {login.json()['accessToken']}"
    assert [tenant["role"] for tenant in login.json()["tenants"]] == ["owner"]

    generated = http.get("/api/script/generate").json()
    key = generated["siteKey"]
    assert f'data-site="{key}"' in generated["snippet"]
    assert http.get("/t.js").status_code == 200

    visitor = str(uuid4())
    events = [
        {
            "eventId": str(uuid4()),
            "type": "pageview",
            "url": "https://nora.example.com/?utm_source=youtube&utm_medium=video",
        },
        {
            "eventId": str(uuid4()),
            "type": "identify",
            "email": "Pat@Example.com",
            "url": "https://nora.example.com/join",
        },
    ]
    posted = http.post("/api/tracking/event", json={"siteKey": key, "visitorId": visitor, "events": events})
    assert posted.status_code == 202, posted.text
    assert posted.json() == {"accepted": 2, "dropped": []}

    how = http.get("/api/teachable/connect").json()
    assert how["kind"] == "credentials", how
    field = next(iter(how["schema"]["properties"]))
    wrong = http.post("/api/teachable/connect", json={field: "not-the-key"})
    assert wrong.status_code == 422, wrong.text
    connected = http.post("/api/teachable/connect", json={field: "newcomers-key"})
    assert connected.status_code == 200, connected.text
    webhook_url = connected.json()["webhookUrl"]
    wait_for(lambda: http.get("/api/teachable/sync-status").json()["status"] == "completed", 20, "the first sync")

    payload = {
        "type": "Transaction.created", "id": 71001, "livemode": True, "created": "2026-03-01T12:00:00+00:00", "hook_event_id": 9,
        "object": {
            "id": 71001, "user_id": 501, "user": {"id": 501, "email": "pat@example.com", "name": "Pat Example"},
            "sale": {"id": 60001, "product": {"id": 88, "name": "Full price", "is_recurring": False}},
            "final_price": 9900, "currency": "USD", "status": "paid",
            "purchased_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    }  # fmt: skip
    started = time.monotonic()
    first, again = httpx.post(webhook_url, json=payload), httpx.post(webhook_url, json=payload)
    assert (first.status_code, first.json()) == (202, {"received": True})
    assert (again.status_code, again.json()) == (200, {"duplicate": True})

    def credited() -> dict[str, str] | None:
        items = http.get("/api/analytics/recent-purchases").json()["items"]
        return items[0] if items and items[0]["source"] == "youtube" else None

    sale = wait_for(credited, 10, "the sale with its source")
    assert time.monotonic() - started < 10
    assert (sale["amountMinor"], sale["currency"], sale["platform"]) == (9900, "USD", "teachable")

    report = http.get("/api/analytics/sources", params={"range": "7d"}).json()
    assert [(row["source"], row["revenueMinor"]) for row in report["rows"] if row["revenueMinor"]] == [
        ("youtube", 9900)
    ]
    assert report["unattributed"]["revenueMinor"] == 0
    detail = http.get(f"/api/analytics/purchases/{sale['id']}").json()
    assert detail["path"][0]["source"] == "youtube"
    assert {credit["model"] for credit in detail["credits"]} >= {
        "first_touch",
        "last_touch",
        "last_non_direct",
        "linear",
    }
    reconciliation = http.get("/api/analytics/reconciliation", params={"range": "7d"}).json()
    assert [row["differenceMinor"] for row in reconciliation["rows"]] == [0]


def test_the_command_line_explains_a_taken_port(server: ServerProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coursesignal", "serve"],
        env={**os.environ, **environment(server.settings)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "COURSESIGNAL_PORT" in done.stderr
    assert "Traceback" not in done.stderr
