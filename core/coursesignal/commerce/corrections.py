"""Putting right whose a purchase is: the platform knows an address that its buyer mistyped, or never used on the website."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from coursesignal.auth.callers import Caller
from coursesignal.commerce.service import refold
from coursesignal.db.locks import lock_ledger
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.identity.emails import email_key
from coursesignal.identity.service import credit_again
from coursesignal.identity.tombstones import erased_among
from coursesignal.tenancy import audit


class Buyer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose a purchase is. ``corrected`` says that the address was put right, ``match`` how it is tied to visits."""

    id: UUID
    email: str | None
    corrected: bool
    person_id: UUID | None
    match: str


_BUYER = """
    select p.id, p.email, p.corrected_email is not null as corrected, p.person_id, p.match, x.erased_at is not null as erased
    from purchases p left join people x on x.tenant_id = $1 and x.id = p.person_id
    where p.tenant_id = $1 and p.id = $2"""


async def correct(
    conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, purchase_id: UUID, email: str | None
) -> Buyer:
    """Take the purchase for that of whoever has this address, whatever the platform says; None takes that back.

    Raises NotFound, Invalid, and Conflict for what was bought by somebody whose data was erased.
    """
    await lock_ledger(conn, tenant_id)
    before = await _buyer(conn, tenant_id, purchase_id)
    key = await _checked(conn, tenant_id, email)
    await conn.execute(
        "update purchases set corrected_email = $3 where tenant_id = $1 and id = $2", tenant_id, purchase_id, key
    )
    await refold(conn, tenant_id, [purchase_id])
    after = await _buyer(conn, tenant_id, purchase_id)
    people = {one.person_id for one in (before, after)}
    await credit_again(conn, tenant_id, sorted(one for one in people if one is not None))
    detail = {"from": _named(before), "to": _named(after), "corrected": key is not None}
    await audit.record(conn, tenant_id, caller, "purchase.email_corrected", str(purchase_id), detail)
    return after


async def _checked(conn: asyncpg.Connection, tenant_id: UUID, email: str | None) -> str | None:
    if email is None:
        return None
    key = email_key(email)
    if key is None:
        raise Invalid(errors=[FieldError("email", "Give an e-mail address, or null for the platform's own.")])
    if await erased_among(conn, tenant_id, {("email", key)}):
        raise Invalid(errors=[FieldError("email", "The data of whoever had this address was erased.")])
    return key


async def _buyer(conn: asyncpg.Connection, tenant_id: UUID, purchase_id: UUID) -> Buyer:
    row = await conn.fetchrow(_BUYER, tenant_id, purchase_id)
    if row is None:
        raise NotFound
    if row["erased"]:
        raise Conflict(
            "The data of whoever bought this was erased.", detail="It stays with the number that stands for them."
        )
    return Buyer(**{name: row[name] for name in Buyer.__struct_fields__})


def _named(buyer: Buyer) -> str | None:
    """A person's id: addresses are not kept in the audit log."""
    return str(buyer.person_id) if buyer.person_id else None
