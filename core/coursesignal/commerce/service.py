"""Book what platforms report: one purchase per sale, whichever way, however often and in whatever order it is told.

Everything here happens in the caller's transaction, alone in its tenant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from coursesignal.commerce import store
from coursesignal.commerce.facts import Facts, Folded, facts_in, fold, in_order
from coursesignal.commerce.forgetting import without_erased
from coursesignal.commerce.matching import match
from coursesignal.commerce.money import AGAINST, Money, added, joined, money_in, stepped
from coursesignal.db import stale
from coursesignal.db.ids import uuid7
from coursesignal.db.locks import lock_ledger
from coursesignal.events import Event, PurchaseRecorded, PurchaseRefunded
from coursesignal.groups import Groups
from coursesignal.identity.browsers import CHECKOUT
from coursesignal.identity.service import Identified, Sighting, find_people, identify_visitors
from coursesignal.jobs.outbox import enqueue, publish_all
from coursesignal.plugin import Charge, Contact, PlatformEvent, RefundTotal

CORRECTED = "put right by hand"
"""The evidence for an address that somebody gave for a purchase in place of the platform's."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What booking came to: the purchases that events told of, how many events, how many purchases tied to a visitor."""

    purchase_ids: Sequence[UUID]
    processed: int
    matched: int


async def record(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, platform: str, events: Sequence[PlatformEvent]
) -> Recorded:
    """Book ``events`` of one connection; announces each purchase's first money and each refund once."""
    if not events:
        return Recorded((), 0, 0)
    await lock_ledger(conn, tenant_id)
    events = await without_erased(conn, tenant_id, connection_id, events)
    booking = _Booking(conn, tenant_id, connection_id, platform)
    purchases = await booking.find_purchases(events)
    await store.keep_facts(
        conn, tenant_id, connection_id, [(of, facts_in(event)) for of, event in zip(purchases, events, strict=True)]
    )
    ids = sorted(set(purchases))
    new = await booking.book_money(ids, list(zip(purchases, events, strict=True)))
    folded = await booking.fold(ids)
    await booking.tie_visitors(folded)
    await booking.announce(folded, new)
    return Recorded(ids, len(events), await match(conn, tenant_id, ids))


async def refold(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID]) -> None:
    """Read again what was said of these purchases, and whose they are; their credits are brought up to date by a task."""
    await lock_ledger(conn, tenant_id)
    for (connection_id, platform), ids in (await store.by_connection(conn, tenant_id, purchase_ids)).items():
        await _Booking(conn, tenant_id, connection_id, platform).fold(ids)
    await match(conn, tenant_id, purchase_ids)
    payload = {"purchaseIds": [str(one) for one in purchase_ids]}
    await enqueue(conn, tenant_id, "core.attribute_purchases", payload)


def keys_of(event: PlatformEvent) -> Sequence[str]:
    """Everything that says which purchase an event is about."""
    keys = list(event.purchase_keys)
    if isinstance(event, Charge):
        keys.append(f"charge:{event.external_id}")
        if event.refund_of:
            keys.append(f"charge:{event.refund_of}")
    elif isinstance(event, RefundTotal):
        keys.append(f"charge:{event.charge_external_id}")
    return keys


@dataclass(slots=True)
class _Booking:
    """The steps of one call of :func:`record`."""

    conn: asyncpg.Connection
    tenant_id: UUID
    connection_id: UUID
    platform: str

    async def find_purchases(self, events: Sequence[PlatformEvent]) -> Sequence[UUID]:
        """The purchase of each event, opened when new; purchases that turn out to be one become one."""
        keys = [keys_of(event) for event in events]
        known = await store.purchases_by_key(
            self.conn, self.tenant_id, self.connection_id, {key for of_event in keys for key in of_event}
        )
        groups = Groups[str | UUID]()
        for of_event in keys:
            groups.unite(of_event)
        for key, purchase_id in known.items():
            groups.unite((key, purchase_id))
        purchase_of: dict[str, UUID] = {}
        opened: list[UUID] = []
        for members in groups.members().values():
            found = sorted(one for one in members if isinstance(one, UUID))
            purchase_id = await self._one_purchase(found) if found else uuid7()
            opened += [] if found else [purchase_id]
            purchase_of |= {one: purchase_id for one in members if isinstance(one, str)}
        await store.open_purchases(self.conn, self.tenant_id, self.connection_id, self.platform, opened)
        await store.keep_keys(self.conn, self.tenant_id, self.connection_id, purchase_of)
        return [purchase_of[of_event[0]] for of_event in keys]

    async def _one_purchase(self, known: Sequence[UUID]) -> UUID:
        """The purchase that takes over the others."""
        if len(known) > 1:
            await self._keep_announced(known)
            await store.absorb(self.conn, self.tenant_id, known[1:], known[0])
        return known[0]

    async def _keep_announced(self, known: Sequence[UUID]) -> None:
        """A purchase that takes over one with money has been announced."""
        before = await store.charged(self.conn, self.tenant_id, known)
        await self.conn.execute(
            "update purchases set charged_minor = $3 where tenant_id = $1 and id = $2",
            self.tenant_id, known[0], max(before.values()),
        )  # fmt: skip

    async def book_money(
        self, ids: Sequence[UUID], events: Sequence[tuple[UUID, PlatformEvent]]
    ) -> Sequence[tuple[UUID, Money]]:
        """Write the charges that changed, forget refund totals that say nothing more; returns those that are new."""
        before = await store.money_of(self.conn, self.tenant_id, ids)
        told: dict[UUID, list[Money]] = defaultdict(list)
        for purchase_id, event in events:
            if (money := money_in(event)) is not None:
                told[purchase_id].append(money)
        changed: list[tuple[UUID, Money]] = []
        new: list[tuple[UUID, Money]] = []
        moments: set[datetime] = set()
        covered: list[str] = []
        for purchase_id, money_told in told.items():
            was = before.get(purchase_id, {})
            now = _with_steps(joined([*was.values(), *money_told]))
            changed += [(purchase_id, one) for one in now if was.get(one.external_id) != one]
            new += [(purchase_id, one) for one in added(was, now)]
            moments |= {one.occurred_at for one in {*was.values()} ^ {*now}}
            covered += sorted(was.keys() - {one.external_id for one in now})
        await store.forget_money(self.conn, self.tenant_id, self.connection_id, covered)
        await store.keep_money(self.conn, self.tenant_id, self.connection_id, changed)
        await stale.mark(self.conn, self.tenant_id, "money", moments)
        return new

    async def fold(self, ids: Sequence[UUID]) -> Mapping[UUID, tuple[Folded, int]]:
        """Write each purchase as all that is known shows it; returns it with what had been charged before."""
        before = await store.charged(self.conn, self.tenant_id, ids)
        said = await store.facts_of(self.conn, self.tenant_id, ids)
        money = await store.money_of(self.conn, self.tenant_id, ids)
        folded = {of: fold(said[of], money.get(of, {}).values()) for of in ids}
        buyers = {**await self._buyers(said), **await self._corrected(ids)}
        await store.keep_purchases(
            self.conn, self.tenant_id, [(of, purchase, buyers.get(of)) for of, purchase in folded.items()]
        )
        return {of: (folded[of], before[of]) for of in ids}

    async def _buyers(self, said: Mapping[UUID, Sequence[Facts]]) -> Mapping[UUID, UUID | None]:
        """Who made each purchase: the person of its first e-mail address, or else of its first contact."""
        named = [(of, one) for of, facts in said.items() for one in in_order(facts)]
        people = await find_people(
            self.conn, self.tenant_id, [self._sighting(one.contact, one.occurred_at) for _, one in named]
        )
        buyers: dict[UUID, UUID | None] = {}
        for field in ("email", "external_id"):
            for (of, one), person in zip(named, people, strict=True):
                if person is not None and getattr(one.contact, field):
                    buyers.setdefault(of, person)
        return buyers

    async def _corrected(self, ids: Sequence[UUID]) -> Mapping[UUID, UUID | None]:
        """Who made those purchases of which somebody put the address right."""
        corrected = await store.corrected(self.conn, self.tenant_id, ids)
        sightings = [Sighting(one.email, None, None, CORRECTED, one.at) for one in corrected]
        people = await find_people(self.conn, self.tenant_id, sightings)
        return {one.purchase_id: person for one, person in zip(corrected, people, strict=True) if person is not None}

    async def tie_visitors(self, folded: Mapping[UUID, tuple[Folded, int]]) -> None:
        """Give visitors that platforms took along to checkout to the buyer, if we saw them and they never gave an address.

        As evidence this ties a browser to an address; it never makes two people one.
        """
        named = [
            Identified(visitor, one.contact.email, CHECKOUT, one.purchased_at)
            for one, _ in folded.values()
            if one.contact.email and (visitor := one.visitor_id) is not None
        ]
        seen = await store.seen_visitors(self.conn, self.tenant_id, [one.visitor_id for one in named])
        await identify_visitors(self.conn, self.tenant_id, [one for one in named if one.visitor_id in seen])

    def _sighting(self, contact: Contact, seen_at: datetime) -> Sighting:
        contact_id = f"{self.connection_id}:{contact.external_id}" if contact.external_id else None
        return Sighting(contact.email, contact_id, contact.name, "purchase", seen_at)

    async def announce(self, folded: Mapping[UUID, tuple[Folded, int]], new: Sequence[tuple[UUID, Money]]) -> None:
        """Publish first money and refunds; a refund that is told before its sale waits for it."""
        recorded = [of for of, (purchase, before) in folded.items() if purchase.charged_minor > 0 and before == 0]
        events: list[Event] = [self._recorded(of, folded[of][0]) for of in recorded]
        waiting = await store.money_of(self.conn, self.tenant_id, recorded)
        refunds = [(of, one) for of, charges in waiting.items() for one in charges.values()]
        refunds += [(of, one) for of, one in new if of not in recorded and folded[of][1] > 0]
        events += [self._refunded(of, money) for of, money in refunds if money.kind in AGAINST]
        await publish_all(self.conn, events)

    def _refunded(self, purchase_id: UUID, money: Money) -> PurchaseRefunded:
        return PurchaseRefunded(
            id=uuid7(), tenant_id=self.tenant_id, occurred_at=money.occurred_at, purchase_id=purchase_id,
            amount_minor=-money.amount_minor, currency=money.currency,
        )  # fmt: skip

    def _recorded(self, purchase_id: UUID, purchase: Folded) -> PurchaseRecorded:
        return PurchaseRecorded(
            id=uuid7(), tenant_id=self.tenant_id, occurred_at=purchase.purchased_at, purchase_id=purchase_id,
            amount_minor=purchase.charged_minor, currency=purchase.currency,
        )  # fmt: skip


def _with_steps(money: Mapping[str, Money]) -> Sequence[Money]:
    """The same charges, refund totals as steps above the refunds of that charge that were told one by one, if they are above."""
    plain = [one for one in money.values() if one.refund_total is None]
    totals: dict[str | None, list[Money]] = defaultdict(list)
    for one in money.values():
        if one.refund_total is not None:
            totals[one.refund_of].append(one)
    singly: dict[str | None, int] = defaultdict(int)
    for one in plain:
        if one.kind == "refund":
            singly[one.refund_of] -= one.amount_minor
    steps = [step for of, of_charge in totals.items() for step in stepped(of_charge, singly[of])]
    return [*plain, *(step for step in steps if step.amount_minor)]
