"""One purchase with all that explains its numbers: money, buyer, evidence, path, and what each model makes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from coursesignal.analytics import claims
from coursesignal.analytics.purchases import LINE_COLUMNS, TOP_TOUCH, line_fields
from coursesignal.analytics.reading import Reading
from coursesignal.attribution.paths import CLOSES_AT
from coursesignal.errors import NotFound
from coursesignal.plugin import AttributionModel
from coursesignal.reports import (
    ChargeLine,
    Identifier,
    ItemLine,
    ModelCredits,
    PathTouch,
    PersonLine,
    PurchaseDetail,
    TouchCredit,
)

MAX_TOUCHES = 1000
"""Of one path; the latest are shown."""

_PURCHASE = f"""
    select {LINE_COLUMNS}, p.person_id, p.gift_recipient
    from purchases p {TOP_TOUCH}
    where p.tenant_id = $1 and p.id = $3"""  # noqa: S608 – of constants

_CHARGES = """
    select id, external_id, kind, amount_minor, currency, occurred_at from charges
    where tenant_id = $1 and purchase_id = $2 order by occurred_at, id"""

_ITEMS = """
    select external_id, title, quantity, amount_minor from purchase_items
    where tenant_id = $1 and purchase_id = $2 order by id"""

_KEYS = """
    select key from purchase_keys
    where tenant_id = $1 and purchase_id = $2 and key not like 'id:%' and key not like 'charge:%' order by key"""

_NOW_PART_OF = "select purchase_id from purchase_keys where tenant_id = $1 and key = 'id:' || $2::uuid"

_PERSON = "select id, email, name, first_seen_at from people where tenant_id = $1 and id = $2"

_IDENTIFIERS = """
    select kind, value_key as value, evidence, confidence, first_seen_at from person_identifiers
    where tenant_id = $1 and person_id = $2 order by first_seen_at, kind, value_key"""

_PATH = f"""
    select t.id, t.visitor_id, t.occurred_at, t.source, t.channel, t.medium, t.campaign, t.content, t.term, t.referrer,
           t.landing_url, t.is_direct
    from (
        select id from visitors where tenant_id = $1 and person_id = $2
        union all select visitor_id from probable_visitors where tenant_id = $1 and purchase_id = $5
    ) v join touches t on t.tenant_id = $1 and t.visitor_id = v.id
    where t.occurred_at <= {CLOSES_AT.format(purchased_at="$3::timestamptz")}
    order by t.occurred_at desc, t.id desc limit $4"""  # noqa: S608 – of constants

_CREDITS = """
    select k.model, k.touch_id, t.source, t.channel, t.medium, t.campaign,
           max(k.weight) as weight, sum(k.amount_minor) as amount
    from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where k.tenant_id = $1 and k.purchase_id = $2
    group by k.model, k.touch_id, t.source, t.channel, t.medium, t.campaign, t.occurred_at
    order by k.model, t.occurred_at, k.touch_id"""


async def purchase(reading: Reading, purchase_id: UUID, models: Mapping[str, AttributionModel]) -> PurchaseDetail:
    """Everything about one purchase, also under an id that it had in part; raise NotFound when the tenant has none of this id."""
    conn, tenant_id = reading.conn, reading.tenant.id
    purchase_id = await conn.fetchval(_NOW_PART_OF, tenant_id, purchase_id) or purchase_id
    row = await conn.fetchrow(_PURCHASE, tenant_id, reading.model, purchase_id)
    if row is None:
        raise NotFound()
    charges = [ChargeLine(**charge) for charge in await conn.fetch(_CHARGES, tenant_id, purchase_id)]
    return PurchaseDetail(
        **line_fields(row),
        net_minor=sum(charge.amount_minor for charge in charges),
        external_keys=tuple(key["key"] for key in await conn.fetch(_KEYS, tenant_id, purchase_id)),
        gift_recipient=row["gift_recipient"],
        cancelled_at=row["cancelled_at"],
        items=tuple(ItemLine(**item) for item in await conn.fetch(_ITEMS, tenant_id, purchase_id)),
        charges=tuple(charges),
        person=await _person(reading, row["person_id"]),
        lookback_days=reading.lookback_days,
        path=await _path(reading, purchase_id, row["person_id"], row["purchased_at"]),
        claims=await claims.of_purchase(reading, purchase_id),
        credits=await _credits(reading, purchase_id, charges, models),
    )


async def _person(reading: Reading, person_id: UUID | None) -> PersonLine | None:
    row = person_id and await reading.fetchrow(_PERSON, reading.tenant.id, person_id)
    if not row:
        return None
    identifiers = await reading.fetch(_IDENTIFIERS, reading.tenant.id, person_id)
    return PersonLine(**row, identifiers=tuple(Identifier(**found) for found in identifiers))


async def _path(
    reading: Reading, purchase_id: UUID, person_id: UUID | None, purchased_at: datetime
) -> tuple[PathTouch, ...]:
    """The touches of all the buyer's visitors, sure or probable, up to the purchase, oldest first."""
    opens_at = purchased_at - timedelta(days=reading.lookback_days)
    rows = await reading.fetch(_PATH, reading.tenant.id, person_id, purchased_at, MAX_TOUCHES, purchase_id)
    return tuple(PathTouch(**row, in_window=row["occurred_at"] >= opens_at) for row in reversed(rows))


async def _credits(
    reading: Reading, purchase_id: UUID, charges: list[ChargeLine], models: Mapping[str, AttributionModel]
) -> tuple[ModelCredits, ...]:
    """One entry per model in use, the tenant's default first, those that credit nothing too."""
    touches: dict[str, list[TouchCredit]] = defaultdict(list)
    for row in await reading.fetch(_CREDITS, reading.tenant.id, purchase_id):
        fields = {name: row[name] for name in ("touch_id", "source", "channel", "medium", "campaign", "weight")}
        touches[row["model"]].append(TouchCredit(amount_minor=int(row["amount"]), **fields))
    net = sum(charge.amount_minor for charge in charges)
    order = sorted(models.values(), key=lambda model: (model.slug != reading.default_model, model.name))
    return tuple(_of_model(model, reading, net, tuple(touches[model.slug])) for model in order)


def _of_model(model: AttributionModel, reading: Reading, net: int, touches: tuple[TouchCredit, ...]) -> ModelCredits:
    credited = sum(touch.amount_minor for touch in touches)
    return ModelCredits(
        model=model.slug,
        name=model.name,
        default=model.slug == reading.default_model,
        credited_minor=credited,
        unattributed_minor=net - credited,
        touches=touches,
    )
