"""Random histories, told in random order, in portions, twice: what is left in the end is what a simple oracle says.

The oracle knows all facts at once and reads them in the order of their times; the installation hears them in any order over the
tracking endpoint and from its connector, with jobs running in between.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import httpx
import pytest

from coursesignal.connections.intake import apply
from coursesignal.jobs.outbox import enqueue
from coursesignal.plugin import Charge, Contact, PlatformEvent, PurchaseFacts
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)
SPAN_S = 28 * 86_400
LOOKBACK_DAYS = 12
GAP = timedelta(minutes=30)
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
SOURCES = ("", "", "newsletter", "youtube", "podcast")
EMAILS = [f"buyer{n}@example.com" for n in range(7)]
AGAINST = ("refund", "dispute")
MODELS = ("first_touch", "last_touch", "last_non_direct", "linear")


@dataclass(frozen=True)
class Seen:
    """One event of a browser."""

    id: str
    visitor: str
    at: datetime
    source: str
    email: str | None = None

    def told(self) -> dict[str, Any]:
        query = f"?utm_source={self.source}&utm_medium=referral" if self.source else ""
        event = {"eventId": self.id, "at": self.at.isoformat(), "url": f"https://shop.example.com/{query}"}
        return {**event, "type": "identify", "email": self.email} if self.email else {**event, "type": "pageview"}


@dataclass(frozen=True)
class Join:
    """Somebody joins two people by hand, if both are known by then."""

    one: str
    other: str


@dataclass(frozen=True)
class Correct:
    """Somebody puts the address of a sale right, if the sale is known by then."""

    number: int
    email: str


@dataclass
class World:
    """Everything that happened."""

    seen: list[Seen] = field(default_factory=list)
    told: list[PlatformEvent] = field(default_factory=list)
    joined: list[Join] = field(default_factory=list)
    corrected: dict[str, str] = field(default_factory=dict)
    """By number of the sale. Both are written down while they are done."""


def invent(dice: random.Random) -> World:
    """Browsers that come and go, people who give several addresses, sales with all that can follow."""
    world = World()
    seconds = dice.sample(range(SPAN_S), 600)  # no two things at once
    for _ in range(20):
        visitor, start = _uuid(dice), NOW - timedelta(seconds=seconds.pop())
        for _ in range(dice.randint(1, 9)):
            start += timedelta(seconds=dice.choice([40, 300, 1_799, 1_900, 90_000]), milliseconds=dice.randint(1, 900))
            email = _spelt(dice, dice.choice(EMAILS)) if dice.random() < 0.3 else None
            if start < NOW:
                world.seen.append(Seen(_uuid(dice), visitor, start, dice.choice(SOURCES), email))
    for number in range(12):
        world.told += _sale(dice, number, [NOW - timedelta(seconds=seconds.pop()) for _ in range(5)])
    return world


def _sale(dice: random.Random, number: int, moments: list[datetime]) -> list[PlatformEvent]:
    """A sale and what follows; its pieces name it by one or two keys, its buyer by address, contact, both or not at all."""
    first, *later = sorted(moments)
    amount = dice.choice([1, 2, 9_999, dice.randint(3, 50_000)])
    keys = (f"order:{number}", f"sale:{number}")
    pieces: list[PlatformEvent] = [
        Charge(
            external_id=f"t{number}", kind="sale", amount_minor=amount, currency="USD", occurred_at=first,
            purchase_keys=keys, contact=_contact(dice),
        )
    ]  # fmt: skip
    if dice.random() < 0.5:
        told = first + timedelta(seconds=0.5)
        pieces.append(PurchaseFacts(purchase_keys=keys[:1], occurred_at=told, contact=_contact(dice)))
    for n, at in enumerate(dice.sample(later, k=dice.choice([0, 1, 3]))):
        kind = dice.choice(["renewal", "instalment", "refund", "dispute", "dispute_reversal"])
        pieces.append(
            Charge(
                external_id=f"t{number}-{n}", kind=kind, amount_minor=dice.randint(1, amount), currency="USD",
                occurred_at=at, purchase_keys=keys[1:], refund_of=f"t{number}" if kind in AGAINST else None,
            )
        )  # fmt: skip
    return pieces


def _contact(dice: random.Random) -> Contact:
    """Three platform contacts share some addresses, so that people turn out to be one."""
    email = _spelt(dice, dice.choice(EMAILS)) if dice.random() < 0.8 else None
    contact = f"c{EMAILS.index(email.lower()) // 2}" if email and dice.random() < 0.4 else None
    return Contact(email=email, external_id=contact)


def _spelt(dice: random.Random, email: str) -> str:
    return dice.choice([email, email.upper(), email.title()])


def _uuid(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


# The oracle.


class Oracle:
    """The end state, worked out from all facts at once in the plainest way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.same: dict[str, set[str]] = {}
        for event in world.told:
            if isinstance(event, Charge | PurchaseFacts):
                self._unite([name for name in (_key(event.contact.email), event.contact.external_id) if name])
        for join in world.joined:
            self._unite([join.one, join.other])
        self.touches = [touch for visits in self._visits().values() for touch in _touches(visits)]
        self.owner = self._owners()

    def _unite(self, names: Sequence[str]) -> None:
        group = {*names}.union(*(self.same.get(name, {name}) for name in names))
        for name in group:
            self.same[name] = group

    def person(self, name: str) -> frozenset[str]:
        """All names of whoever has this one."""
        return frozenset(self.same.get(name, {name}))

    def _visits(self) -> Mapping[str, list[Seen]]:
        found: dict[str, list[Seen]] = defaultdict(list)
        for event in sorted(self.world.seen, key=lambda event: event.at):
            found[event.visitor].append(event)
        return found

    def _owners(self) -> Mapping[str, frozenset[str]]:
        """Whose each browser is: of the first who gave an address in it."""
        owners = {}
        for visitor, events in self._visits().items():
            given = [_key(event.email) for event in events if event.email]
            if given and given[0]:
                owners[visitor] = self.person(given[0])
        return owners

    def purchases(self) -> Mapping[str, list[PlatformEvent]]:
        found: dict[str, list[PlatformEvent]] = defaultdict(list)
        for event in sorted(self.world.told, key=lambda event: event.occurred_at):
            found[event.purchase_keys[0].partition(":")[2]].append(event)
        return found

    def path(self, pieces: Sequence[PlatformEvent]) -> list[Seen]:
        """The buyer's touches in the days before the first payment, to the end of its second."""
        paid = min(
            p.occurred_at for p in pieces if isinstance(p, Charge) and p.kind not in (*AGAINST, "dispute_reversal")
        )
        contacts = [p.contact for p in pieces if isinstance(p, Charge | PurchaseFacts)]
        number = pieces[0].purchase_keys[0].partition(":")[2]
        names = [self.world.corrected.get(number), *(_key(c.email) for c in contacts if c.email)]
        names = [name for name in names if name] or [c.external_id for c in contacts if c.external_id]
        if not names or not names[0]:
            return []
        buyer = self.person(names[0])
        opens, closes = paid - timedelta(days=LOOKBACK_DAYS), paid + timedelta(seconds=1)
        mine = [t for t in self.touches if self.owner.get(t.visitor) == buyer and opens <= t.at < closes]
        return sorted(mine, key=lambda touch: touch.at)

    def credits(self, model: str) -> dict[tuple[str, str], int]:
        """Signed amount by charge and touch."""
        found = {}
        for pieces in self.purchases().values():
            shares = _shares(model, self.path(pieces))
            for charge in pieces:
                if isinstance(charge, Charge):
                    sign = -1 if charge.kind in AGAINST else 1
                    for touch, part in _split(charge.amount_minor, shares):
                        found[charge.external_id, touch.id] = sign * part
        return {key: part for key, part in found.items() if part}

    def net(self) -> int:
        money = (event for event in self.world.told if isinstance(event, Charge))
        return sum(-m.amount_minor if m.kind in AGAINST else m.amount_minor for m in money)


def _key(email: str | None) -> str | None:
    return email.lower() if email else None


def _touches(events: Sequence[Seen]) -> Iterable[Seen]:
    """The first event of every visit, and every later one from another source than the touch before it."""
    last: Seen | None = None
    source = ""
    for event in events:
        if last is None or event.at - last.at > GAP or (event.source and event.source != source):
            source = event.source
            yield event
        last = event


def _shares(model: str, path: list[Seen]) -> list[tuple[Seen, Fraction]]:
    known = [touch for touch in path if touch.source] or path
    chosen = {"first_touch": path[:1], "last_touch": path[-1:], "last_non_direct": known[-1:], "linear": path}[model]
    return [(touch, Fraction(1, len(chosen))) for touch in chosen]


def _split(amount: int, shares: list[tuple[Seen, Fraction]]) -> list[tuple[Seen, int]]:
    exact = [amount * share for _, share in shares]
    parts = [math.floor(value) for value in exact]
    for i in sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))[: amount - sum(parts) if parts else 0]:
        parts[i] += 1
    return [(touch, part) for (touch, _), part in zip(shares, parts, strict=True)]


# The installation.


@dataclass
class Installation:
    """A tenant that hears of a world."""

    client: httpx.AsyncClient
    tenant: ActingTenant
    connection: UUID
    run_jobs: RunJobs

    async def hear(self, world: World, dice: random.Random) -> None:
        for delivery in deliveries(world, dice):
            if isinstance(delivery, Join):
                if await self._join(delivery):
                    world.joined.append(delivery)
            elif isinstance(delivery, Correct):
                if await self._correct(delivery):
                    world.corrected[str(delivery.number)] = delivery.email.lower()
            elif isinstance(delivery[0], Seen):
                await self._visit([event for event in delivery if isinstance(event, Seen)])
            else:
                await self._sell([event for event in delivery if not isinstance(event, Seen)])
            if dice.random() < 0.1:
                await self.run_jobs()
        await self.run_jobs()

    async def _visit(self, events: Sequence[Seen]) -> None:
        body = {"siteKey": self.tenant.site_key, "visitorId": events[0].visitor, "events": [e.told() for e in events]}
        answer = await self.client.post("/api/tracking/event", json=body, headers=BROWSER)
        assert (answer.status_code, answer.json()["dropped"]) == (202, []), answer.text

    async def _join(self, join: Join) -> bool:
        """Whether both were known, and two."""
        ids = [await self._person(email) for email in (join.one, join.other)]
        if None in ids or ids[0] == ids[1]:
            return False
        path = f"/api/people/{ids[0]}/merge"
        answer = await self.client.post(path, json={"into": ids[1]}, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return True

    async def _correct(self, right: Correct) -> bool:
        """Whether the sale was known."""
        async with self.tenant.transaction() as conn:
            purchase_id = await conn.fetchval(
                "select purchase_id from charges where tenant_id = $1 and external_id = $2",
                self.tenant.id,
                f"t{right.number}",
            )
        if purchase_id is None:
            return False
        path = f"/api/purchases/{purchase_id}/email"
        answer = await self.client.put(path, json={"email": right.email}, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return True

    async def _person(self, email: str) -> str | None:
        answer = await self.client.get(f"/api/people?search={email}", headers=self.tenant.headers)
        return next((str(item["id"]) for item in answer.json()["items"]), None)

    async def _sell(self, events: Sequence[PlatformEvent]) -> None:
        async with self.tenant.transaction() as conn:
            models = self.tenant.runtime.registry.models
            await apply(conn, self.tenant.id, self.connection, "teachable", events, models)

    async def credits(self) -> dict[str, dict[tuple[str, str], int]]:
        """By model: signed amount by charge and touch, those of nothing left out."""
        async with self.tenant.transaction() as conn:
            rows = await conn.fetch(
                "select k.model, c.external_id, t.event_id, k.amount_minor from credits k "
                "join charges c on c.tenant_id = $1 and c.id = k.charge_id "
                "join touches t on t.tenant_id = $1 and t.id = k.touch_id where k.tenant_id = $1 and k.amount_minor <> 0",
                self.tenant.id,
            )
        found: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
        for row in rows:
            found[row["model"]][row["external_id"], str(row["event_id"])] = row["amount_minor"]
        return found

    async def credit_all_again(self) -> None:
        async with self.tenant.transaction() as conn:
            await conn.execute("delete from credits where tenant_id = $1", self.tenant.id)
            await enqueue(conn, self.tenant.id, "core.recredit", {})
        await self.run_jobs()


@pytest.fixture
async def installed(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs) -> Installation:
    tenant = await make_tenant()
    async with tenant.transaction() as conn:
        await conn.execute("update tenants set lookback_days = $2 where id = $1", tenant.id, LOOKBACK_DAYS)
        connection = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
            "values ($1, 'teachable', 'k', ''::bytea, 'school', 'ready') returning id",
            tenant.id,
        )
    return Installation(client, tenant, connection, run_jobs)


Delivery = Sequence[Seen] | Sequence[PlatformEvent] | Join | Correct


def deliveries(world: World, dice: random.Random) -> list[Delivery]:
    """Every fact at least once, some twice, in portions, in any order; now and then people are joined and addresses put right."""
    by_visitor: dict[str, list[Seen]] = defaultdict(list)
    for event in [*world.seen, *dice.sample(world.seen, k=len(world.seen) // 3)]:
        by_visitor[event.visitor].append(event)
    found: list[Delivery] = [Join(*dice.sample(EMAILS, 2)) for _ in range(2)]
    found += [Correct(number, _spelt(dice, dice.choice(EMAILS))) for number in dice.sample(range(12), 3)]
    for events in by_visitor.values():
        dice.shuffle(events)
        found += _portions(events, dice)
    sales = [*world.told, *dice.sample(world.told, k=len(world.told) // 2)]
    dice.shuffle(sales)
    found += _portions(sales, dice)
    dice.shuffle(found)
    return found


def _portions(things: Sequence[Any], dice: random.Random) -> list[Any]:
    rest, portions = list(things), []
    while rest:
        size = dice.randint(1, 3)
        portions.append(rest[:size])
        rest = rest[size:]
    return portions


@pytest.mark.parametrize("seed", range(8))
async def test_a_history_in_any_order_ends_as_the_oracle_says(installed: Installation, seed: int) -> None:
    dice = random.Random(seed)
    world = invent(dice)
    await installed.hear(world, dice)
    oracle = Oracle(world)
    found = await installed.credits()
    for model in MODELS:
        assert found[model] == oracle.credits(model), model
    await _adds_up(installed, oracle)
    await installed.credit_all_again()
    assert await installed.credits() == found


async def _adds_up(installed: Installation, oracle: Oracle) -> None:
    """Credited + unattributed = charges − refunds under every model of the installation."""
    headers = installed.tenant.headers
    for model in installed.tenant.runtime.registry.models:
        answer = await installed.client.get(f"/api/analytics/reconciliation?range=all&model={model}", headers=headers)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["rows"]
        assert [row["differenceMinor"] for row in rows] == [0] * len(rows)
        assert sum(row["creditedMinor"] + row["unattributedMinor"] for row in rows) == oracle.net(), model
