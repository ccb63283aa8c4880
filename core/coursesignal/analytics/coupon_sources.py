"""Which coupon code stands for which source, as the tenant says."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from coursesignal.analytics.self_reported_schemas import CouponSource, CouponSources, CouponUse
from coursesignal.auth.callers import Caller
from coursesignal.errors import FieldError, Invalid
from coursesignal.tenancy import audit
from coursesignal.tracking.claims import source_of

SHOWN_UNMAPPED = 50
_USED = """
    with used as (
        select lower(btrim(hints ->> 'coupon')) as code, count(*) as purchases from purchases
        where tenant_id = $1 and btrim(hints ->> 'coupon') <> '' group by 1
    )
    select coalesce(s.code, u.code) as code, s.source, coalesce(u.purchases, 0) as purchases
    from (select code, source from coupon_sources where tenant_id = $1) s full join used u on u.code = s.code
    order by s.code is null, case when s.code is null then -u.purchases end, code"""


async def read(conn: asyncpg.Connection, tenant_id: UUID) -> CouponSources:
    """The codes and how often they were used."""
    codes = [CouponUse(**row) for row in await conn.fetch(_USED, tenant_id)]
    return CouponSources(
        codes=[code for code in codes if code.source is not None],
        unmapped=[code for code in codes if code.source is None][:SHOWN_UNMAPPED],
    )


async def replace(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, wanted: Sequence[CouponSource]) -> None:
    """Map exactly these codes; raises Invalid naming the entries that are none."""
    codes = _checked(wanted)
    before = {
        row["code"]: row["source"]
        for row in await conn.fetch("select code, source from coupon_sources where tenant_id = $1", tenant_id)
    }
    if before == codes:
        return
    await conn.execute("delete from coupon_sources where tenant_id = $1", tenant_id)
    await conn.execute(
        "insert into coupon_sources (tenant_id, code, source) select $1, * from unnest($2::text[], $3::text[])",
        tenant_id, list(codes), list(codes.values()),
    )  # fmt: skip
    changed = sorted(code for code in {*before, *codes} if before.get(code) != codes.get(code))
    await audit.record(conn, tenant_id, caller, "coupon_sources.changed", "", {"codes": changed[:100]})


def _checked(wanted: Sequence[CouponSource]) -> dict[str, str]:
    """Codes in one spelling, each with its source."""
    codes: dict[str, str] = {}
    errors: list[FieldError] = []
    for number, one in enumerate(wanted):
        code, source = one.code.strip().lower(), source_of(one.source)
        if not code or "\x00" in code:
            errors.append(FieldError(f"codes.{number}.code", "Write the code as buyers type it."))
        elif code in codes:
            errors.append(FieldError(f"codes.{number}.code", "This code is there twice; upper and lower case are one."))
        if not source or "\x00" in source:
            errors.append(FieldError(f"codes.{number}.source", "Write the source, such as podcast."))
        codes[code] = source
    if errors:
        raise Invalid(errors=errors)
    return codes
