"""Identity: people by equal identifiers and nothing else, the same in whatever order things become known."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from coursesignal.commerce.service import record
from coursesignal.identity.emails import email_key
from coursesignal.identity.service import identify_visitor, person_for_contact
from coursesignal.jobs import outbox
from coursesignal.plugin import Charge, Contact
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
async def shop(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.mark.parametrize(
    ("said", "key"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann+course@example.com", "ann+course@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann", None),
        ("ann@", None),
        ("", None),
        (None, None),
        ("a@b@example.com x", None),
        ("a" * 300 + "@example.com", None),
    ],
)
def test_an_address_has_one_spelling(said: str | None, key: str | None) -> None:
    assert email_key(said) == key


async def see(shop: ActingTenant, email: str | None, contact: str | None, minutes: int = 0) -> UUID | None:
    async with shop.transaction() as conn:
        return await person_for_contact(
            conn,
            shop.id,
            email=email,
            contact_id=contact,
            evidence="purchase",
            seen_at=NOON + timedelta(minutes=minutes),
        )


async def identify(shop: ActingTenant, visitor: UUID, email: str, minutes: int = 0) -> UUID | None:
    async with shop.transaction() as conn:
        return await identify_visitor(conn, shop.id, visitor, email, "identify", NOON + timedelta(minutes=minutes))


async def test_sightings_in_any_order_make_the_same_people(shop: ActingTenant) -> None:
    for order in itertools.permutations(range(4)):
        mark = uuid4().hex
        told: list[tuple[str | None, str | None]] = [
            (f"a{mark}@example.com", None),
            (f"b{mark}@example.com", f"contact-{mark}"),
            (f"a{mark}@example.com", f"contact-{mark}"),
            (f"c{mark}@example.com", None),
        ]
        for number in order:
            await see(shop, *told[number])
        a, b, c = [await see(shop, f"{letter}{mark}@example.com", None) for letter in "abc"]
        assert a == b == await see(shop, None, f"contact-{mark}")
        assert c != a


async def test_nobody_is_named_by_nothing(shop: ActingTenant) -> None:
    assert await see(shop, None, None) is None
    assert await see(shop, "not an address", None) is None
    assert await identify(shop, uuid4(), "not an address") is None


async def test_a_visitor_belongs_to_whom_it_was_identified_as_first(shop: ActingTenant) -> None:
    for minutes in ((0, 5), (5, 0)):
        mark, visitor = uuid4().hex, uuid4()
        for minute in minutes:
            await identify(shop, visitor, f"at-{minute}-{mark}@example.com", minute)
        assert await visitor_of(shop, visitor) == await see(shop, f"at-0-{mark}@example.com", None)


async def visitor_of(shop: ActingTenant, visitor: UUID) -> UUID | None:
    async with shop.transaction() as conn:
        found: UUID | None = await conn.fetchval(
            "select person_id from visitors where tenant_id = $1 and id = $2", shop.id, visitor
        )
    return found


async def test_a_merge_moves_everything_and_is_on_record(shop: ActingTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_heard", {"people_merged"})
    mark, visitor = uuid4().hex, uuid4()
    loser_or_winner = {
        await identify(shop, visitor, f"v{mark}@example.com"),
        await see(shop, None, f"merge-{mark}"),
    }
    merged = await see(shop, f"v{mark}@example.com", f"merge-{mark}")
    assert merged in loser_or_winner
    assert await visitor_of(shop, visitor) == merged
    async with shop.transaction() as conn:
        on_record = await conn.fetchrow(
            "select m.from_person_id, p.merged_into from merges m join people p on p.id = m.from_person_id "
            "where m.tenant_id = $1 and m.into_person_id = $2", shop.id, merged,
        )  # fmt: skip
        told = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and name = 'people_merged' and payload->>'into_person_id' = $2",
            shop.id, str(merged),
        )  # fmt: skip
    assert on_record["merged_into"] == merged
    assert told == 1


async def test_a_purchase_is_matched_once_its_buyer_has_been_seen(shop: ActingTenant, run_jobs: Any) -> None:
    mark = uuid4().hex
    async with shop.transaction() as conn:
        connection = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, state) "
            "values ($1, 'kajabi', $2, ''::bytea, 'ready') returning id", shop.id, uuid4().bytes,
        )  # fmt: skip
        sale = Charge(
            external_id="1", kind="sale", amount_minor=100, currency="USD", occurred_at=NOON, purchase_keys=("1",),
            contact=Contact(email=f"m{mark}@example.com"),
        )  # fmt: skip
        recorded = await record(conn, shop.id, connection, "kajabi", [sale])
    assert recorded.matched == 0
    await identify(shop, uuid4(), f"M{mark}@example.com")
    await run_jobs()
    async with shop.transaction() as conn:
        match = await conn.fetchval(
            "select match from purchases where tenant_id = $1 and id = $2", shop.id, recorded.purchase_ids[0]
        )
    assert match == "email"
