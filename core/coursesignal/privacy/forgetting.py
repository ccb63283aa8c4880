"""Take a tenant's erased people out of the rows that are about them, and keep the numbers.

Works from the tombstones alone, so it can run again at any time: after a crash, for what came since, after a restore.

What was sold stays with a person that has no name, address or identifier any more, and their journey with visitors under new
random ids: models credit as before, and nothing leads from a browser, an address or a platform's contact to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg
import msgspec

from coursesignal.commerce.facts import Facts
from coursesignal.commerce.forgetting import impersonal
from coursesignal.db import stale
from coursesignal.db.locks import lock_ledger, lock_tracking
from coursesignal.identity import tombstones
from coursesignal.identity.tombstones import Tombstones, hash_of
from coursesignal.plugin import Contact

_NAMED = """
    select person_id, kind, value_key from person_identifiers where tenant_id = $1 and kind <> 'visitor'"""
_FAMILY = """
    select id from people where tenant_id = $1
        and (id = any($2) or merged_into = any($2)
            or id in (select merged_into from people where tenant_id = $1 and id = any($2)))"""
_OWNERS = "select key_hash, erasure_id from erased_keys where tenant_id = $1"
_BURY = """
    insert into erased_keys (tenant_id, key_hash, erasure_id) select $1, * from unnest($2::bytea[], $3::uuid[])
    on conflict do nothing"""
_SALES = """
    select id, person_id, email, gift_recipient, hints from purchases where tenant_id = $1
        and (person_id = any($2) or email is not null or gift_recipient is not null)"""
# What plugins were told, or are about to be.
_RENAME_IN_EVENTS = """
    update outbox o set payload = jsonb_set(o.payload, '{visitor_id}', to_jsonb(m.new_id))
    from unnest($2::text[], $3::text[]) as m (old_id, new_id)
    where o.tenant_id = $1 and o.payload ->> 'visitor_id' = m.old_id"""
# Whatever else is kept of a visitor, plugins' tables too.
_OTHERS = """
    select c.relname as name, a.attname as column_name from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relrowsecurity
        and a.attname ~ 'visitor_id$' and a.atttypid = 'uuid'::regtype and not a.attisdropped and c.relname <> all($1)"""
_BARE = "split_part(split_part({column}, '?', 1), '#', 1)"
_MOVE = {
    "sessions": f"landing_url = {_BARE.format(column='r.landing_url')}",
    "touches": f"click_id = '', landing_url = {_BARE.format(column='r.landing_url')}, "
    f"referrer = {_BARE.format(column='r.referrer')}",
    "events": f"email = null, props = null, title = null, ip_hash = null, user_agent = null, "
    f"url = {_BARE.format(column='r.url')}, referrer = {_BARE.format(column='r.referrer')}",
    "goal_hits": "occurred_at = r.occurred_at",
}
"""What is about a visitor, and what of it is personal besides the visitor's id."""


@dataclass(slots=True)
class Forgetting:
    """One transaction's work; :attr:`counts` says what it changed."""

    conn: asyncpg.Connection
    tenant_id: UUID
    erased: Tombstones
    counts: Counter[str] = field(default_factory=Counter[str])

    async def run(self) -> None:
        """Everything that is known by who somebody is; texts that merely mention an address are the sweep's."""
        people = await self.bury()
        await self.forget_purchases(people)
        await self.forget_claims(people)
        await self.rename_visitors(people)
        await self.forget_names(people)
        await self.forget_exports()

    async def bury(self) -> Sequence[UUID]:
        """The people behind the tombstones; everything else each was known by gets a tombstone of the same erasure."""
        owner = {row["key_hash"]: row["erasure_id"] for row in await self.conn.fetch(_OWNERS, self.tenant_id)}
        named = await self.conn.fetch(_NAMED, self.tenant_id)
        hashed = [(row["person_id"], hash_of(self.tenant_id, row["kind"], row["value_key"])) for row in named]
        erasure_of = {person: owner[key] for person, key in hashed if key in owner}
        if not erasure_of:
            return []
        keys = [(key, erasure_of[person]) for person, key in hashed if person in erasure_of]
        await self.conn.execute(_BURY, self.tenant_id, [key for key, _ in keys], [erasure for _, erasure in keys])
        self.erased = await tombstones.of_tenant(self.conn, self.tenant_id)
        family = await self.conn.fetch(_FAMILY, self.tenant_id, list(erasure_of))
        return [row["id"] for row in family]

    async def forget_purchases(self, people: Sequence[UUID]) -> None:
        """Who bought is a number; what, when and for how much stays."""
        gone = frozenset(people)
        for sale in await self.conn.fetch(_SALES, self.tenant_id, list(people)):
            bought = sale["person_id"] in gone or self.erased.address(sale["email"])
            given = self.erased.address(sale["gift_recipient"])
            if bought or given:
                await self._forget_sale(sale, bought=bought, given=given)
                await self._forget_facts(sale["id"], bought=bought)

    async def _forget_sale(self, sale: Mapping[str, object], *, bought: bool, given: bool) -> None:
        hints = sale["hints"]
        assert isinstance(hints, dict)
        await self.conn.execute(
            "update purchases set email = $3, corrected_email = null, hints = $4, gift_recipient = $5 "
            "where tenant_id = $1 and id = $2",
            self.tenant_id, sale["id"], None if bought else sale["email"], impersonal(hints) if bought else hints,
            None if given else sale["gift_recipient"],
        )  # fmt: skip
        self.counts["purchases"] += 1

    async def _forget_facts(self, purchase_id: object, *, bought: bool) -> None:
        """Facts are known by what they say, so that a repeat is known again: they get the digest of what is left."""
        rows = await self.conn.fetch(
            "delete from purchase_facts where tenant_id = $1 and purchase_id = $2 returning connection_id, facts",
            self.tenant_id, purchase_id,
        )  # fmt: skip
        left = [
            (row["connection_id"], self._forgotten(msgspec.convert(row["facts"], Facts), bought=bought)) for row in rows
        ]
        await self.conn.executemany(
            "insert into purchase_facts (tenant_id, connection_id, digest, purchase_id, occurred_at, facts) "
            "values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            [
                (self.tenant_id, connection, one.digest, purchase_id, one.occurred_at, msgspec.to_builtins(one))
                for connection, one in left
            ],
        )

    def _forgotten(self, facts: Facts, *, bought: bool) -> Facts:
        if bought or self.erased.address(facts.contact.email):
            facts = msgspec.structs.replace(facts, contact=Contact(), hints=impersonal(facts.hints))
        if self.erased.address(facts.gift_recipient):
            facts = msgspec.structs.replace(facts, gift_recipient=None)
        return facts

    async def forget_claims(self, people: Sequence[UUID]) -> None:
        """What they said of where they came from."""
        rows = await self.conn.fetch(
            "select id, email_key from claims where tenant_id = $1 and email_key is not null", self.tenant_id
        )
        gone = [row["id"] for row in rows if self.erased.address(row["email_key"])]
        rows = await self.conn.fetch(
            "delete from claims c where tenant_id = $1 and (id = any($2) or visitor_id in "
            "(select v.id from visitors v where v.tenant_id = $1 and v.person_id = any($3))) returning id",
            self.tenant_id, gone, list(people),
        )  # fmt: skip
        self.counts["claims"] += len(rows)

    async def rename_visitors(self, people: Sequence[UUID]) -> None:
        """The same visits under ids that no browser has; who comes back with the old one is somebody new."""
        rows = await self.conn.fetch(
            "select v.id from visitors v where v.tenant_id = $1 and v.person_id = any($2) and exists "
            "(select from people p where p.tenant_id = $1 and p.id = v.person_id and p.erased_at is null)",
            self.tenant_id, list(people),
        )  # fmt: skip
        if not rows:
            return
        old, new = [row["id"] for row in rows], [uuid4() for _ in rows]
        await self._copy_visitors(old, new)
        for table, forgotten in _MOVE.items():
            done = await self.conn.execute(
                f"update {table} r set visitor_id = m.new_id, {forgotten} "  # noqa: S608 – of constants
                "from unnest($2::uuid[], $3::uuid[]) as m (old_id, new_id) "
                "where r.tenant_id = $1 and r.visitor_id = m.old_id",
                self.tenant_id, old, new,
            )  # fmt: skip
            self.counts[table] += int(done.rpartition(" ")[2])
        await self._rename_elsewhere(old, new)
        await self.conn.execute(_RENAME_IN_EVENTS, self.tenant_id, [str(one) for one in old], [str(one) for one in new])
        await self.conn.execute("delete from visitors where tenant_id = $1 and id = any($2)", self.tenant_id, old)
        self.counts["visitors"] += len(old)

    async def _rename_elsewhere(self, old: Sequence[UUID], new: Sequence[UUID]) -> None:
        """Links to the person's other browsers would lead to who they were: they go."""
        await self.conn.execute(
            "delete from visitor_links where tenant_id = $1 and (from_visitor_id = any($2) or to_visitor_id = any($2))",
            self.tenant_id, list(old),
        )  # fmt: skip
        for row in await self.conn.fetch(_OTHERS, [*_MOVE, "visitor_links"]):
            table, column = row["name"], row["column_name"]
            await self.conn.execute(
                f'update "{table}" r set "{column}" = m.new_id '  # noqa: S608 – names from the catalogue
                f"from unnest($2::uuid[], $3::uuid[]) as m (old_id, new_id) "
                f'where r.tenant_id = $1 and r."{column}" = m.old_id',
                self.tenant_id, list(old), list(new),
            )  # fmt: skip

    async def _copy_visitors(self, old: Sequence[UUID], new: Sequence[UUID]) -> None:
        await self.conn.execute(
            "insert into visitors (tenant_id, id, first_seen_at, last_seen_at, person_id, events) "
            "select $1, m.new_id, v.first_seen_at, v.last_seen_at, v.person_id, v.events "
            "from unnest($2::uuid[], $3::uuid[]) as m (old_id, new_id) "
            "join visitors v on v.tenant_id = $1 and v.id = m.old_id",
            self.tenant_id, old, new,
        )  # fmt: skip

    async def forget_names(self, people: Collection[UUID]) -> None:
        """People are numbers, known by nothing."""
        for sql in (
            "update people set email = null, name = null, erased_at = coalesce(erased_at, now()) "
            "where tenant_id = $1 and id = any($2)",
            "delete from person_identifiers where tenant_id = $1 and person_id = any($2)",
        ):
            done = await self.conn.execute(sql, self.tenant_id, list(people))
            self.counts["people" if sql.startswith("update") else "identifiers"] += int(done.rpartition(" ")[2])

    async def forget_exports(self) -> None:
        """Copies that were made for them."""
        rows = await self.conn.fetch("select id, email_hash from privacy_exports where tenant_id = $1", self.tenant_id)
        gone = [row["id"] for row in rows if row["email_hash"] in self.erased.hashes]
        await self.conn.execute(
            "delete from privacy_exports where tenant_id = $1 and id = any($2)", self.tenant_id, gone
        )
        self.counts["exports"] += len(gone)


async def forget_people(conn: asyncpg.Connection, tenant_id: UUID) -> Counter[str]:
    """Forget everybody with a tombstone, alone in the tenant's ledger and tracking; returns how many rows of what changed."""
    await lock_tracking(conn, tenant_id)
    await lock_ledger(conn, tenant_id)
    work = Forgetting(conn, tenant_id, await tombstones.of_tenant(conn, tenant_id))
    await work.run()
    if work.counts["visitors"]:
        await stale.mark_all(conn, tenant_id, "visits")
    return work.counts
