"""Whose a purchase probably is that nobody gave an address for: the one browser that was at a checkout when it was made.

The rules, which depend on what is known and not on the order in which it became known:

* A browser that opened a checkout page up to 30 minutes before the purchase, or a page that says thanks up to 5 minutes after it,
  may be the buyer's. It is not when its person bought something else then.
* Exactly one browser must be left. If another purchase that nobody gave an address for could be its too, it is nobody's.
* Where the buyer's cookies were cleared, the browser has several ids: those with the same network address and the same make in
  the 24 hours before, unless they belong to other people, or are more than three: that is an office, and not one device.

Only this purchase is credited by these visits, and it is marked as probable. Nobody is merged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg

from coursesignal.identity.checkouts import AFTER, BEFORE, KIN, likes
from coursesignal.jobs.outbox import enqueue

MAX_KIN = 3
SETTLED_DAYS = 33
"""Events that come later are refused: what is older keeps its visitors, whose raw events may be gone by now."""

_SETTINGS = "select fallback_match, checkout_pages from tenants where id = $1"
_SWITCHED_OFF = """
    with gone as (delete from probable_visitors where tenant_id = $1 and purchase_id = any($2))
    update purchases set match = 'unmatched' where tenant_id = $1 and id = any($2) and match = 'probable' returning id"""
_KNOWN_NOW = """
    delete from probable_visitors b using purchases p
    where b.tenant_id = $1 and p.tenant_id = $1 and p.id = b.purchase_id and p.id = any($2) and p.match = 'email'"""
# Purchases that compete with these for a browser: around every time that was ever told of them.
_NEIGHBOURS = """
    select distinct n.id from (
        select purchased_at as at from purchases where tenant_id = $1 and id = any($2)
        union select occurred_at from purchase_facts where tenant_id = $1 and purchase_id = any($2)
    ) told cross join lateral (
        select id from purchases p where p.tenant_id = $1 and p.match <> 'email' and not p.id = any($2)
            and p.purchased_at between told.at - $3::interval and told.at + $3::interval offset 0
    ) n"""
_WANTED = """
    select id from purchases
    where tenant_id = $1 and id = any($2) and match <> 'email' and charged_minor > 0
        and not (match = 'probable' and purchased_at < now() - make_interval(days => $3))
        and not exists (
            select from people x where x.tenant_id = $1 and x.id = purchases.person_id and x.erased_at is not null)"""
# Who was at a checkout: one row for each browser id and session.
_AT_CHECKOUT = """
    select p.id as purchase_id, v.id as visitor_id, v.person_id, s.fingerprint, bool_or(exists (
        select from purchases q
        where q.tenant_id = $1 and q.id <> p.id and q.match <> 'email' and q.charged_minor > 0
            and (q.person_id = p.person_id) is not true
            and q.purchased_at between e.occurred_at - $5::interval and e.occurred_at + $4::interval
    )) as contested
    from purchases p
    cross join lateral (
        select e.visitor_id, e.session_id, e.occurred_at from events e
        where e.tenant_id = $1 and e.type = 'pageview' and e.verdict = 'ok'
            and e.occurred_at between p.purchased_at - $4::interval and p.purchased_at + $5::interval
            and lower(split_part(split_part(split_part(e.url, '://', 2), '?', 1), '#', 1)) like any($3)
        offset 0
    ) e
    join visitors v on v.tenant_id = $1 and v.id = e.visitor_id
    join sessions s on s.tenant_id = $1 and s.id = e.session_id
    where p.tenant_id = $1 and p.id = any($2) and not exists (
        select from purchases q
        where q.tenant_id = $1 and q.person_id = v.person_id and q.id <> p.id and q.charged_minor > 0
            and q.purchased_at >= p.purchased_at - $4::interval - $5::interval
            and q.purchased_at <= p.purchased_at + $4::interval + $5::interval
    ) and not exists (select from people x where x.tenant_id = $1 and x.id = v.person_id and x.erased_at is not null)
    group by p.id, v.id, v.person_id, s.fingerprint"""
_SAME_DEVICE = """
    select p.id as purchase_id, s.visitor_id
    from unnest($2::uuid[], $3::bytea[], $4::uuid[]) as wanted (purchase_id, fingerprint, person_id)
    join purchases p on p.tenant_id = $1 and p.id = wanted.purchase_id
    cross join lateral (
        select distinct s.visitor_id from sessions s
        where s.tenant_id = $1 and s.fingerprint = wanted.fingerprint
            and s.started_at between p.purchased_at - $5::interval and p.purchased_at
        offset 0
    ) s
    join visitors v on v.tenant_id = $1 and v.id = s.visitor_id
    where v.person_id is null or v.person_id = wanted.person_id"""
# Only with a visit to credit: one that begins after the purchase is none.
_KEEP = """
    with found as (
        select f.purchase_id, f.visitor_id from unnest($3::uuid[], $4::uuid[]) as f (purchase_id, visitor_id)
    ), credited as (
        select p.id from purchases p join tenants t on t.id = p.tenant_id
        where p.tenant_id = $1 and p.id = any($2) and exists (
            select from found f join touches x on x.tenant_id = $1 and x.visitor_id = f.visitor_id
            where f.purchase_id = p.id and x.occurred_at <= p.purchased_at
                and x.occurred_at >= p.purchased_at - make_interval(days => t.lookback_days))
    ), gone as (
        delete from probable_visitors b where b.tenant_id = $1 and b.purchase_id = any($2)
            and not exists (select from found f join credited c on c.id = f.purchase_id
                where f.purchase_id = b.purchase_id and f.visitor_id = b.visitor_id)
        returning b.purchase_id
    ), new as (
        insert into probable_visitors (tenant_id, purchase_id, visitor_id)
        select $1, f.purchase_id, f.visitor_id from found f join credited c on c.id = f.purchase_id
        on conflict do nothing returning purchase_id
    ), matched as (
        update purchases p set match = case when c.id is null then 'unmatched' else 'probable' end
        from unnest($2::uuid[]) as w (id) left join credited c on c.id = w.id
        where p.tenant_id = $1 and p.id = w.id and (p.match = 'probable') <> (c.id is not null)
        returning p.id
    )
    select purchase_id as id from gone union select purchase_id from new union select id from matched"""


async def match(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> set[UUID]:
    """Note which of these purchases are probably whose; returns those of which that changed, and has others credited again
    that competed with them. What is known by an address has been noted before."""
    tenant = await conn.fetchrow(_SETTINGS, tenant_id)
    ids = list(purchase_ids)
    await conn.execute(_KNOWN_NOW, tenant_id, ids)
    if not tenant["fallback_match"]:
        return {row["id"] for row in await conn.fetch(_SWITCHED_OFF, tenant_id, ids)}
    neighbours = [row["id"] for row in await conn.fetch(_NEIGHBOURS, tenant_id, ids, BEFORE + AFTER)]
    changed = await _guess(conn, tenant_id, [*ids, *neighbours], likes(tenant["checkout_pages"]))
    if others := changed.intersection(neighbours):
        payload = {"purchaseIds": sorted(map(str, others))}
        await enqueue(conn, tenant_id, "core.attribute_purchases", payload)
    return changed


async def _guess(conn: asyncpg.Connection, tenant_id: UUID, ids: Sequence[UUID], pages: Sequence[str]) -> set[UUID]:
    wanted = [row["id"] for row in await conn.fetch(_WANTED, tenant_id, ids, SETTLED_DAYS)]
    if not wanted:
        return set()
    at_checkout = await conn.fetch(_AT_CHECKOUT, tenant_id, wanted, pages, BEFORE, AFTER)
    browsers = _one_each(at_checkout)
    same = await _same_devices(conn, tenant_id, browsers)
    pairs = [
        (purchase_id, visitor)
        for purchase_id, browser in browsers.items()
        for visitor in {row["visitor_id"] for row in browser} | same.get(purchase_id, set())
    ]
    rows = await conn.fetch(_KEEP, tenant_id, wanted, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {row["id"] for row in rows}


def _one_each(at_checkout: Sequence[asyncpg.Record]) -> Mapping[UUID, Sequence[asyncpg.Record]]:
    """The ids of the one browser that was at the checkout, by purchase; without those where it was none or one of several."""
    found: defaultdict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in at_checkout:
        found[row["purchase_id"]].append(row)
    return {
        purchase_id: rows
        for purchase_id, rows in found.items()
        if len({row["fingerprint"] or row["visitor_id"] for row in rows}) == 1
        and len({row["person_id"] for row in rows} - {None}) <= 1
        and not any(row["contested"] for row in rows)
    }


async def _same_devices(
    conn: asyncpg.Connection, tenant_id: UUID, browsers: Mapping[UUID, Sequence[asyncpg.Record]]
) -> Mapping[UUID, set[UUID]]:
    """Other ids of these browsers, by purchase."""
    known = {of: rows for of, rows in browsers.items() if rows[0]["fingerprint"] is not None}
    owners = [next((row["person_id"] for row in rows if row["person_id"]), None) for rows in known.values()]
    rows = await conn.fetch(
        _SAME_DEVICE, tenant_id, list(known), [rows[0]["fingerprint"] for rows in known.values()], owners, KIN
    )
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        found[row["purchase_id"]].add(row["visitor_id"])
    at_checkout = {of: {row["visitor_id"] for row in rows} for of, rows in known.items()}
    return {of: ids for of, ids in found.items() if len(ids - at_checkout[of]) <= MAX_KIN}
