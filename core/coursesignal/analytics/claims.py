"""Which purchases have which claims: read from what people said, what coupons stand for, and what platforms tell.

Nothing is copied: a coupon that is mapped today speaks for the purchases of last year, and a claim follows its person through
merges.
"""

from __future__ import annotations

from uuid import UUID

from coursesignal.analytics.reading import Reading
from coursesignal.reports import PurchaseClaim

_SPELLED = "left(lower(regexp_replace(btrim({0}), '\\s+', ' ', 'g')), 200)"
_SURVEY = "coalesce(p.hints ->> 'self_reported', p.hints ->> 'survey', p.hints ->> 'how_did_you_hear')"
CLAIMED = f"""
    select u.id as purchase_id, 'coupon' as kind, s.source, u.coupon as answer, 'coupon' as evidence,
        u.purchased_at as occurred_at
    from (
        select p.id, p.hints ->> 'coupon' as coupon, lower(btrim(p.hints ->> 'coupon')) as code, p.purchased_at
        from purchases p where p.tenant_id = $1 and p.hints ->> 'coupon' <> '' and {{which}} offset 0
    ) u join coupon_sources s on s.tenant_id = $1 and s.code = u.code
    union all
    select p.id, 'platform', {_SPELLED.format("p.hints ->> 'source'")}, p.hints ->> 'source', p.platform, p.purchased_at
    from purchases p where p.tenant_id = $1 and btrim(p.hints ->> 'source') <> '' and {{which}}
    union all
    select p.id, 'survey', {_SPELLED.format(_SURVEY)}, {_SURVEY}, p.platform, p.purchased_at
    from purchases p where p.tenant_id = $1 and btrim({_SURVEY}) <> '' and {{which}}
    union all
    select p.id, 'survey', c.source, c.answer, c.evidence, c.occurred_at
    from claims c join person_identifiers i on i.tenant_id = $1 and i.kind = 'email' and i.value_key = c.email_key
    join purchases p on p.tenant_id = $1 and p.person_id = i.person_id
    where c.tenant_id = $1 and {{which}}
    union all
    select p.id, 'survey', c.source, c.answer, c.evidence, c.occurred_at
    from claims c join visitors v on v.tenant_id = $1 and v.id = c.visitor_id
    join purchases p on p.tenant_id = $1 and p.person_id = v.person_id
    where c.tenant_id = $1 and {{which}}"""  # noqa: S608 – of constants
"""Every claim about purchases ``p`` for which ``which`` holds; $1 is the tenant. ``offset 0``: a purchase looks its code up."""

_OF_PURCHASE = f"""
    select distinct kind, source, answer, evidence, occurred_at from ({CLAIMED.format(which="p.id = $2")}) c
    order by occurred_at, kind, source"""  # noqa: S608 – of constants


async def of_purchase(reading: Reading, purchase_id: UUID) -> tuple[PurchaseClaim, ...]:
    """What is claimed of one purchase, oldest first."""
    rows = await reading.fetch(_OF_PURCHASE, reading.tenant.id, purchase_id)
    return tuple(PurchaseClaim(**row) for row in rows)
