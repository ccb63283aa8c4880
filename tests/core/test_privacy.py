"""Erasure and export over HTTP: what goes, what stays, and that nothing that comes later brings it back."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from coursesignal.cli import main
from coursesignal.connections.house import house
from coursesignal.errors import Invalid
from coursesignal.privacy import restoring
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform

RunJobs = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
PAT, NAME = "pat@example.com", "Patience Example"
NAMES = {501: NAME, 502: "Bea Example", 503: "Later Example"}
BEA = "bea@example.com"


class Shop:
    """A tenant with visitors and buyers that come through the front door."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> None:
        self.http, self.tenant, self.run_jobs = http, tenant, run_jobs
        self.hook = ""
        self.sales = 0
        self.pat, self.bea = str(uuid4()), str(uuid4())
        self.first = 0

    async def connect(self) -> None:
        answer = await self.http.post(
            "/api/teachable/connect", json={"apiKey": "teachable-key"}, headers=self.tenant.headers
        )
        self.hook = answer.json()["webhookUrl"].removeprefix("http://coursesignal.test")

    async def visit(self, visitor: str, source: str, email: str | None = None, **props: str) -> None:
        url = f"https://courses.example.com/?utm_source={source}&gclid={source}Abc123"
        events: list[dict[str, Any]] = [{"eventId": str(uuid4()), "type": "pageview", "url": url}]
        if email:
            events.append({"eventId": str(uuid4()), "type": "identify", "email": email, "url": url})
        if props:
            events.append({"eventId": str(uuid4()), "type": "custom", "name": "signup", "props": props, "url": url})
        body = {"siteKey": self.tenant.site_key, "visitorId": visitor, "events": events}
        answer = await self.http.post("/api/tracking/event", json=body, headers=AGENT)
        assert answer.status_code == 202, answer.text

    async def sell(self, email: str, price: int, *, user_id: int = 501, sale: int = 0, refund: bool = False) -> int:
        """A sale told by webhook; returns its number."""
        self.sales += 1
        sale = sale or 60_000 + self.sales
        told = {
            "id": sale + 1000, "user_id": user_id, "user": {"id": user_id, "email": email, "name": NAMES[user_id]},
            "sale": {"id": sale, "product": {"id": 88, "name": "Course", "is_recurring": False}},
            "final_price": price, "currency": "USD", "status": "paid", "purchased_at": datetime.now(UTC).isoformat(),
            "amount_refunded": price if refund else 0,
        }  # fmt: skip
        kind = "Transaction.refunded" if refund else "Transaction.created"
        payload = {"type": kind, "id": sale + 1000, "livemode": True, "hook_event_id": self.sales, "object": told}
        answer = await self.http.post(self.hook, json=payload)
        assert answer.status_code == 202, answer.text
        return sale

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.http.get(path, params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def erase(self, email: str) -> str:
        answer = await self.http.post("/api/privacy/erasures", json={"email": email}, headers=self.tenant.headers)
        assert answer.status_code == 202, answer.text
        await self.run_jobs()
        erasure = answer.json()["id"]
        assert (await self.get(f"/api/privacy/erasures/{erasure}"))["status"] == "done"
        return str(erasure)

    async def mentions(self, *texts: str) -> dict[str, int]:
        """How many rows of which table hold one of ``texts``, in any column that can."""
        async with self.tenant.transaction() as conn:
            tables = [
                row["name"]
                for row in await conn.fetch(
                    "select relname as name from pg_class c where relnamespace = 'public'::regnamespace "
                    "and relkind in ('r', 'p') and not relispartition and relrowsecurity"
                )
            ]
            found = {}
            for table in tables:
                rows = await conn.fetch(f'select * from "{table}" where tenant_id = $1', self.tenant.id)
                hits = [row for row in rows if any(text in _told(row).lower() for text in texts)]
                if hits:
                    found[table] = len(hits)
        return found

    async def books(self) -> tuple[int, int, int]:
        """Net, credited and difference of everything, of the reconciliation."""
        report = await self.get("/api/analytics/reconciliation", range="all")
        assert report["balanced"]
        rows = report["rows"]
        return (
            sum(row["chargesMinor"] - row["refundsMinor"] for row in rows),
            sum(row["creditedMinor"] for row in rows),
            sum(row["differenceMinor"] for row in rows),
        )


def _told(row: Any) -> str:
    return " ".join(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row.values())


@pytest.fixture
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs, school: FakeTeachable) -> Shop:
    """Pat came by youtube and bought for 99, Bea by a podcast for 50."""
    shop = Shop(client, await make_tenant(), run_jobs)
    await shop.connect()
    await shop.visit(shop.pat, "youtube", PAT, mail=PAT.upper())
    await shop.visit(shop.bea, "podcast", BEA)
    shop.first = await shop.sell(PAT, 9_900)
    await shop.sell(BEA, 5_000, user_id=502)
    await run_jobs()
    return shop


async def sources(shop: Shop) -> dict[str, tuple[int, int]]:
    rows = (await shop.get("/api/analytics/sources", range="all"))["rows"]
    return {row["source"]: (row["revenueMinor"], row["students"]) for row in rows if row["revenueMinor"]}


async def test_an_erased_person_is_in_no_row_and_every_number_stays(shop: Shop) -> None:
    before = (await sources(shop), await shop.books())
    assert before == ({"youtube": (9_900, 1), "podcast": (5_000, 1)}, (14_900, 14_900, 0))
    assert await shop.mentions(PAT) != {}
    async with shop.tenant.transaction() as conn:
        await conn.execute(
            "insert into visitor_links (tenant_id, from_visitor_id, to_visitor_id) values ($1, $2, $3)",
            shop.tenant.id, uuid4(), UUID(shop.pat),
        )  # fmt: skip
        await conn.execute(
            "insert into claims (tenant_id, claim_key, visitor_id, source, answer, evidence, occurred_at) "
            "values ($1, 'event:1', $2, 'a friend', 'A friend', 'event', now())",
            shop.tenant.id, UUID(shop.pat),
        )  # fmt: skip
    await shop.erase("  PAT@Example.COM ")
    assert await shop.mentions(PAT, NAME.lower(), shop.pat, "youtubeabc123") == {}
    assert (await sources(shop), await shop.books()) == before
    assert {"purchases", "people", "events", "inbox"} <= set(await shop.mentions(BEA)), "others are not touched"


async def test_credits_stay_when_everything_is_credited_anew(shop: Shop) -> None:
    await shop.erase(PAT)
    answer = await shop.http.patch(
        f"/api/tenants/{shop.tenant.tenant.slug}", json={"lookbackDays": 30}, headers=shop.tenant.headers
    )
    assert answer.status_code == 200
    await shop.run_jobs()
    assert await sources(shop) == {"youtube": (9_900, 1), "podcast": (5_000, 1)}


async def test_late_webhooks_identifies_and_syncs_do_not_bring_anybody_back(shop: Shop) -> None:
    await shop.erase(PAT)
    await shop.sell(PAT, 9_900, sale=shop.first, refund=True)
    await shop.sell(PAT, 2_000)
    await shop.sell("new-address@example.com", 1_000, user_id=501)
    await shop.visit(shop.pat, "newsletter", PAT.upper(), mail="x " + PAT)
    await shop.run_jobs()
    assert await shop.mentions(PAT, NAME.lower(), "new-address@example.com") == {}
    net, _, difference = await shop.books()
    assert (net, difference) == (9_900 + 5_000 + 2_000 + 1_000, 0)
    async with shop.tenant.transaction() as conn:
        ties = await conn.fetchval(
            "select count(*) from visitors where tenant_id = $1 and id = $2 and person_id is not null",
            shop.tenant.id, shop.pat,
        )  # fmt: skip
    assert ties == 0


async def test_a_sync_does_not_bring_anybody_back(shop: Shop, school: FakeTeachable) -> None:
    sale = school.sell(PAT, 7_700, name=NAME)
    school.sell(BEA, 8_800, name="Bea Example")
    await shop.erase(PAT)
    assert (await shop.http.post("/api/teachable/sync", headers=shop.tenant.headers)).status_code == 202
    await shop.run_jobs()
    school.refund(sale, 700)
    await shop.http.post("/api/teachable/sync", headers=shop.tenant.headers)
    await shop.run_jobs()
    assert await shop.mentions(PAT, NAME.lower()) == {}
    net, _, difference = await shop.books()
    assert (net, difference) == (9_900 + 5_000 + 7_700 - 700 + 8_800, 0)


async def test_a_late_webhook_is_told_apart_from_a_repeat_and_cannot_be_replayed(shop: Shop) -> None:
    await shop.erase(PAT)
    await shop.sell(PAT, 2_000)
    await shop.run_jobs()
    items = (await shop.get("/api/connections/inbox"))["items"]
    assert {item["status"] for item in items} == {"done"}
    detail = await shop.get(f"/api/connections/inbox/{items[0]['id']}")
    assert (detail["body"], detail["headers"]) == ("", {})
    replayed = await shop.http.post(f"/api/connections/inbox/{items[0]['id']}/replay", headers=shop.tenant.headers)
    assert replayed.status_code == 404


async def test_somebody_unknown_is_erased_ahead(shop: Shop) -> None:
    await shop.erase("later@example.com")
    await shop.sell("later@example.com", 3_300, user_id=503)
    await shop.visit(str(uuid4()), "tiktok", "later@example.com")
    said = await shop.http.post(
        "/api/people/self-reported",
        json={"email": "Later@Example.com", "source": "A friend"},
        headers=shop.tenant.headers,
    )
    assert (said.status_code, said.json()["accepted"]) == (202, False)
    await shop.run_jobs()
    assert await shop.mentions("later@example.com", NAMES[503].lower()) == {}
    assert (await shop.books())[0] == 9_900 + 5_000 + 3_300


async def test_an_erasure_is_lifted_when_the_person_agrees_again(shop: Shop) -> None:
    erasure = await shop.erase(PAT)
    url = f"/api/privacy/erasures/{erasure}"
    assert (await shop.http.delete(url, headers=shop.tenant.headers)).status_code == 204
    assert (await shop.http.delete(url, headers=shop.tenant.headers)).status_code == 409
    assert (await shop.get(url))["status"] == "lifted"
    await shop.visit(str(uuid4()), "newsletter", PAT)
    await shop.sell(PAT, 4_400)
    await shop.run_jobs()
    assert "people" in await shop.mentions(PAT)
    assert await sources(shop) == {"youtube": (9_900, 1), "podcast": (5_000, 1), "newsletter": (4_400, 1)}
    assert await shop.erase(PAT) == erasure
    assert await shop.mentions(PAT, NAME.lower()) == {}


async def test_who_else_uses_the_device_or_gets_the_gift_stays(shop: Shop) -> None:
    await shop.visit(shop.pat, "instagram", BEA)
    await shop.run_jobs()
    await shop.erase(PAT)
    assert await shop.mentions(PAT) == {}
    assert "events" in await shop.mentions(BEA)


async def test_an_export_holds_everything_of_the_person_and_nothing_of_others(shop: Shop) -> None:
    asked = await shop.http.post("/api/privacy/exports", json={"email": PAT.upper()}, headers=shop.tenant.headers)
    assert asked.status_code == 202
    assert await shop.mentions(PAT.upper()) == {}
    await shop.run_jobs()
    found = await shop.get(f"/api/privacy/exports/{asked.json()['id']}")
    assert (found["status"], found["counts"]["purchases"], found["counts"]["webhooks"]) == ("ready", 1, 1)
    link = found["downloadUrl"].removeprefix("http://coursesignal.test")
    answer = await shop.http.get(link)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    told = json.loads(files.read("export.json"))
    assert [person["email"] for person in told["person"]] == [PAT]
    assert {event["type"] for event in told["events"]} == {"pageview", "identify", "custom"}
    assert [(charge["amount_minor"], charge["currency"]) for charge in told["charges"]] == [(9_900, "USD")]
    assert {credit["source"] for credit in told["credits"]} == {"youtube"}
    assert set(files.namelist()) >= {
        "export.json",
        "person.csv",
        "purchases.csv",
        "events.csv",
        "touches.csv",
        "webhooks.csv",
    }
    assert not any(BEA.encode() in files.read(name) for name in files.namelist())
    for wrong in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("expires=", "expires=9"),
        link.split("?")[0],
    ):
        assert (await shop.http.get(wrong)).status_code == 404
    async with shop.tenant.transaction() as conn:
        await conn.execute(
            "update privacy_exports set expires_at = now() - interval '1 second' where tenant_id = $1", shop.tenant.id
        )
    assert (await shop.http.get(link)).status_code == 404


async def test_an_export_goes_with_the_person(shop: Shop) -> None:
    asked = await shop.http.post("/api/privacy/exports", json={"email": PAT}, headers=shop.tenant.headers)
    await shop.run_jobs()
    link = (await shop.get(f"/api/privacy/exports/{asked.json()['id']}"))["downloadUrl"]
    await shop.erase(PAT)
    assert (await shop.http.get(link.removeprefix("http://coursesignal.test"))).status_code == 404
    assert await shop.get("/api/privacy/exports") == []


async def test_what_was_done_is_in_the_audit_log_without_the_address(shop: Shop) -> None:
    asked = await shop.http.post("/api/privacy/exports", json={"email": PAT}, headers=shop.tenant.headers)
    await shop.run_jobs()
    link = (await shop.get(f"/api/privacy/exports/{asked.json()['id']}"))["downloadUrl"]
    await shop.http.get(link.removeprefix("http://coursesignal.test"))
    erasure = await shop.erase(PAT)
    await shop.http.delete(f"/api/privacy/erasures/{erasure}", headers=shop.tenant.headers)
    entries = [entry for entry in (await shop.get("/api/audit"))["items"] if entry["action"].startswith("privacy.")]
    assert [entry["action"].removeprefix("privacy.") for entry in entries] == [
        "erasure_lifted", "erased", "erasure_requested", "export_downloaded", "export_requested",
    ]  # fmt: skip
    assert len({entry["subject"] for entry in entries}) == 1
    assert entries[0]["subject"].startswith("person-")


@pytest.mark.parametrize("call", ["exports", "erasures"])
@pytest.mark.parametrize(
    "email", ["", "nobody", "a b@example.com", "x" * 4096, "pat@example.com\x00", "@", "pat@localhost"]
)
async def test_what_is_no_address_is_refused(shop: Shop, call: str, email: str) -> None:
    answer = await shop.http.post(f"/api/privacy/{call}", json={"email": email}, headers=shop.tenant.headers)
    assert answer.status_code in (400, 422)
    assert [error["path"] for error in answer.json()["errors"]] == ["email"]


async def test_members_below_admin_see_nothing_of_it(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant(role="member")
    for method, path in (("GET", ""), ("GET", "/exports"), ("POST", "/exports"), ("POST", "/erasures")):
        answer = await client.request(method, f"/api/privacy{path}", json={"email": PAT}, headers=tenant.headers)
        assert answer.status_code == 403


async def test_a_restore_is_erased_again_with_the_tombstones_kept_beside_it(shop: Shop, installation: Runtime) -> None:
    """Bea is erased, the database is restored to before that, and the file of tombstones is all that is left of it."""
    await shop.erase(BEA)
    kept = [one for one in await restoring.tombstones(installation.database) if one.tenant == shop.tenant.id]
    lines = [msgspec.json.encode(one).decode() for one in kept]
    async with shop.tenant.transaction() as conn:  # as if it had never been asked for, and Bea were back
        await conn.execute("delete from erasures where tenant_id = $1", shop.tenant.id)
    await shop.visit(str(uuid4()), "podcast", BEA)
    await shop.sell(BEA, 1_000, user_id=502)
    await shop.run_jobs()
    assert "people" in await shop.mentions(BEA)
    before = await shop.books()
    assert await restoring.put_back(installation.database, restoring.read(lines)) == len(kept)
    assert shop.tenant.id in await restoring.reapply(house(installation))
    assert await shop.mentions(BEA, "bea example") == {}
    assert await shop.books() == before
    assert shop.tenant.id not in await restoring.reapply(house(installation)), "there is nothing left to do"
    with pytest.raises(Invalid, match="Line 2"):
        restoring.read([lines[0], "{}"])


async def test_an_operator_reapplies_from_the_shell(shop: Shop, installation: Runtime, tmp_path: Path) -> None:
    settings, where = installation.settings, installation.where
    env = {
        "COURSESIGNAL_HOME": str(settings.home), "COURSESIGNAL_PLUGINS_FILE": str(settings.plugins_file),
        "DATABASE_URL": where.owner, "COURSESIGNAL_TESTING": "1", "COURSESIGNAL_APP_DATABASE_URL": where.app,
        "COURSESIGNAL_INGEST_DATABASE_URL": where.ingest,
    }  # fmt: skip

    async def run(*words: str) -> str:
        done = await asyncio.to_thread(functools.partial(CliRunner().invoke, main, ["privacy", *words], env=env))
        assert done.exit_code == 0, done.output
        return done.output

    await shop.erase(PAT)
    file = tmp_path / "tombstones.jsonl"
    file.write_text(await run("tombstones"))
    assert str(shop.tenant.id) in file.read_text() and PAT not in file.read_text()
    async with shop.tenant.transaction() as conn:
        await conn.execute(
            "update purchases set email = $2 where tenant_id = $1 and email is null", shop.tenant.id, PAT
        )
    said = await run("reapply", "--from", str(file))
    assert f"Tenant {shop.tenant.id}: 1 purchases." in said
    assert await shop.mentions(PAT) == {}


async def test_texts_that_must_differ_still_differ_under_pseudonyms(shop: Shop) -> None:
    """As in a plugin's table that knows everybody by address: two spellings of one address are two rows."""
    async with shop.tenant.transaction() as conn:
        await conn.executemany(
            "insert into claims (tenant_id, claim_key, source, answer, evidence, occurred_at) "
            "values ($1, $2, 'a friend', $3, 'api', now())",
            [(shop.tenant.id, key, f"call me <{key}> or pat%40example.com") for key in (PAT, "PAT@example.com")],
        )
    await shop.erase(PAT)
    assert await shop.mentions(PAT, "pat%40example.com") == {}
    async with shop.tenant.transaction() as conn:
        rows = await conn.fetch("select claim_key, answer from claims where tenant_id = $1", shop.tenant.id)
    assert len({row["claim_key"] for row in rows}) == 2
    assert all(row["answer"].startswith("call me <erased-") for row in rows)
