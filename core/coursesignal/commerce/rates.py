"""A tenant's own exchange rates: what one unit of a currency is worth in another, from a day on. Every change is audited."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.auth.callers import Caller
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.tenancy import audit
from coursesignal.tenancy.names import currency_problem

MAX_RATES = 20_000
LOWEST, HIGHEST = Decimal("1e-9"), Decimal("1e9")


class Rate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One unit of ``currency`` is ``rate`` units of ``base``, from the beginning of the day until the next rate."""

    base: str
    currency: str
    valid_from: date
    rate: float


async def list_all(conn: asyncpg.Connection, tenant_id: UUID, base: str = "") -> list[Rate]:
    """By base, currency and day, oldest first; of one ``base`` or of all."""
    rows = await conn.fetch(
        "select base, currency, valid_from, rate::float8 as rate from rates "
        "where tenant_id = $1 and ($2 = '' or base = $2) order by base, currency, valid_from",
        tenant_id, base,
    )  # fmt: skip
    return [Rate(**row) for row in rows]


async def put(conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, wanted: Rate) -> Rate:
    """Set the rate of its day; raises Invalid with field paths, Conflict for one too many."""
    check(wanted)
    if await conn.fetchval("select count(*) from rates where tenant_id = $1", tenant_id) >= MAX_RATES:
        raise Conflict(f"There are {MAX_RATES} rates already; delete some first.")
    await conn.execute(
        "insert into rates (tenant_id, base, currency, valid_from, rate) values ($1, $2, $3, $4, $5) "
        "on conflict (tenant_id, base, currency, valid_from) do update set rate = excluded.rate",
        tenant_id, wanted.base, wanted.currency, wanted.valid_from, Decimal(repr(wanted.rate)),
    )  # fmt: skip
    await audit.record(
        conn, tenant_id, caller, "rate.set", f"{wanted.currency}/{wanted.base}",
        {"validFrom": wanted.valid_from.isoformat(), "rate": wanted.rate},
    )  # fmt: skip
    return wanted


async def remove(
    conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, base: str, currency: str, valid_from: date
) -> None:
    """Raises NotFound."""
    done = await conn.execute(
        "delete from rates where tenant_id = $1 and base = $2 and currency = $3 and valid_from = $4",
        tenant_id, base, currency, valid_from,
    )  # fmt: skip
    if done == "DELETE 0":
        raise NotFound("There is no such rate.")
    detail = {"validFrom": valid_from.isoformat()}
    await audit.record(conn, tenant_id, caller, "rate.deleted", f"{currency}/{base}", detail)


def check(wanted: Rate) -> None:
    """Raise Invalid for a rate that is none."""
    errors = currency_problem(wanted.base, "base") + currency_problem(wanted.currency, "currency")
    if wanted.base == wanted.currency:
        errors.append(FieldError("currency", "A currency is worth one of itself; give another."))
    if not LOWEST <= Decimal(repr(wanted.rate)) <= HIGHEST:
        errors.append(FieldError("rate", "Must be more than 0, and at most 1,000,000,000."))
    if errors:
        raise Invalid("This is not a rate.", errors=errors)
