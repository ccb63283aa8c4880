"""Bring the stored credits of charges to what they should be: only what differs is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

# A credit's key as bytes, charge, model and touch: comparing a history with itself is mostly comparing these. The lateral join
# finds each charge's credits by the primary key, whatever the planner thinks of a tenant that it has no statistics of.
_STORED = """
    select uuid_send(k.charge_id) || convert_to(k.model, 'UTF8') || uuid_send(k.touch_id), k.weight, k.amount_minor, k.touch_id
    from unnest($2::uuid[]) c (id) cross join lateral (
        select charge_id, model, touch_id, weight, amount_minor from credits x
        where x.tenant_id = $1 and x.charge_id = c.id and (x.model = any($3)) is true offset 0
    ) k"""
_DELETE = """
    delete from credits k using unnest($2::uuid[], $3::text[], $4::uuid[]) as n (charge_id, model, touch_id)
    where k.tenant_id = $1 and k.charge_id = n.charge_id and k.model = n.model and k.touch_id = n.touch_id"""
_UPDATE = """
    update credits k set weight = n.weight, amount_minor = n.amount_minor
    from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::float8[], $7::bigint[])
        as n (charge_id, model, touch_id, purchase_id, weight, amount_minor)
    where k.tenant_id = $1 and k.charge_id = n.charge_id and k.model = n.model and k.touch_id = n.touch_id"""
_INSERT = """
    insert into credits (tenant_id, charge_id, model, touch_id, purchase_id, weight, amount_minor)
    select $1, * from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::float8[], $7::bigint[])"""


async def write(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    charge_ids: Sequence[UUID],
    models: Sequence[str],
    columns: Sequence[Sequence[Any]],
) -> set[UUID]:
    """Make ``columns`` (charge, model, touch, purchase, weight, amount) the credits of these charges under these models.

    Returns the charges of which any credit changed. The caller sees to it that nobody else writes them meanwhile.
    """
    rows = await conn.fetch(_STORED, tenant_id, list(charge_ids), list(models))
    stored = {row[0]: row for row in rows}
    new, other = _compare(columns, stored)
    charges = {one.bytes: one for one in charge_ids}
    if stored:  # what is left of it is gone
        gone = [(charges[key[:16]], key[16:-16].decode(), row[3]) for key, row in stored.items()]
        await conn.execute(_DELETE, tenant_id, *(list(column) for column in zip(*gone, strict=True)))
    if other:
        await conn.execute(_UPDATE, tenant_id, *_of(columns, other))
    if new:
        await conn.execute(_INSERT, tenant_id, *_of(columns, new))
    return {charges[key[:16]] for key in stored} | {columns[0][n] for n in (*new, *other)}


def _compare(columns: Sequence[Sequence[Any]], stored: dict[bytes, asyncpg.Record]) -> tuple[list[int], list[int]]:
    """Which rows are new and which have other values; takes every key that is still wanted out of ``stored``."""
    new: list[int] = []
    other: list[int] = []
    encoded = {slug: slug.encode() for slug in set(columns[1])}
    charges, models, touches, _, weights, amounts = columns
    for n, (charge, model, touch) in enumerate(zip(charges, models, touches, strict=True)):
        was = stored.pop(charge.bytes + encoded[model] + touch.bytes, None)
        if was is None:
            new.append(n)
        elif was[1] != weights[n] or was[2] != amounts[n]:
            other.append(n)
    return new, other


def _of(columns: Sequence[Sequence[Any]], rows: Sequence[int]) -> list[list[Any]]:
    return [[column[n] for n in rows] for column in columns]
