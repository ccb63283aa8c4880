"""What a sync reads: sales by their date, what went back of sales of any age, and what webhooks failed to bring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from coursesignal.plugin import Contact, Item, Page, PlatformEvent
from coursesignal_teachable.api import (
    PricingPlan,
    TeachableApi,
    TransactionPage,
    User,
    Webhook,
    WebhookEvent,
    WebhookEventPage,
    WebhookPage,
)
from coursesignal_teachable.directory import Directory
from coursesignal_teachable.money import RefundsIn, Transaction, email_of, events_of, in_utc

PER_PAGE = 25
"""With every row's student and plan looked for in lists and by itself a page stays within the 100 calls of a minute."""
DAY = timedelta(days=1)
DISPUTABLE = timedelta(days=120)
"""How long after a sale banks take its money back, about."""
MOST_LISTED = 9_500
"""Lists of users end at 10,000 rows, and it seems that those of transactions do too: longer ones are asked for in parts."""
LEAST_PART = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reader:
    """How a sync asks one school; ``webhook_url`` is the address its webhooks should have."""

    api: TeachableApi
    directory: Directory
    refunds_in: RefundsIn
    webhook_url: str

    async def listed(self, number: int, **params: str) -> TransactionPage:
        """A page of transactions."""
        return await self.api.page("/v1/transactions", TransactionPage, number, PER_PAGE, **params)

    async def told(self, rows: Sequence[Transaction]) -> list[PlatformEvent]:
        """What these rows mean, with their buyers and plans."""
        users = await self.directory.users(self.api, {str(row.user_id) for row in rows if row.user_id is not None})
        plans = await self.directory.plans(
            self.api, {str(row.pricing_plan_id) for row in rows if row.pricing_plan_id is not None}
        )
        now = datetime.now(UTC)
        return [
            event
            for row in rows
            for event in events_of(row, _contact(row, users), _items(row, plans), now, self.refunds_in)
        ]


class Place(msgspec.Struct, frozen=True):
    """How far the list of sales was read: the part of the time, its page, and when all of it ends."""

    start: datetime
    end: datetime
    page: int
    last: datetime


async def transactions(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of sales. Which date ``start`` and ``end`` compare is not documented: a day more is asked for on both sides."""
    place = msgspec.json.decode(cursor, type=Place) if cursor else _whole(since)
    page = await reader.listed(place.page, start=_moment(place.start), end=_moment(place.end))
    if place.page == 1 and (page.meta.total or 0) > MOST_LISTED and place.end - place.start > LEAST_PART:
        half = msgspec.structs.replace(place, end=place.start + (place.end - place.start) / 2)
        return await transactions(reader, _encoded(half), since)
    rows = [row for row in page.transactions if _touched(row, since)]
    total = page.meta.total if place.end == place.last and place.start == _whole(since, place.last).start else None
    return Page(events=await reader.told(rows), cursor=_after(place, page), total=total)


def _whole(since: datetime, last: datetime | None = None) -> Place:
    end = last or (datetime.now(UTC) + DAY).replace(microsecond=0)
    return Place(since.astimezone(UTC).replace(microsecond=0) - DAY, end, 1, end)


def _after(place: Place, page: TransactionPage) -> str | None:
    """The next page of this part, or the first of the next one: ``start`` is exclusive and ``end`` inclusive, so parts meet."""
    if not _is_last(page, place.page):
        return _encoded(msgspec.structs.replace(place, page=place.page + 1))
    if place.end >= place.last:
        return None
    return _encoded(Place(place.end, place.last, 1, place.last))


def _encoded(place: Place) -> str:
    return msgspec.json.encode(place).decode()


async def refunds(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of sales that were refunded wholly, of any age: a refund changes the row of its sale."""
    return await _of_any_age(reader, cursor, since, is_fully_refunded="true")


async def chargebacks(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """A page of sales that banks took back. A chargeback tells no date, so the sale's decides how far back is looked."""
    return await _of_any_age(reader, cursor, since - DISPUTABLE, is_chargeback="true")


async def _of_any_age(reader: Reader, cursor: str | None, since: datetime, **params: str) -> Page:
    number = int(cursor or "1")
    page = await reader.listed(number, **params)
    events = await reader.told([row for row in page.transactions if _touched(row, since)])
    return Page(events=events, cursor=None if _is_last(page, number) else str(number + 1))


async def missed(reader: Reader, cursor: str | None, since: datetime) -> Page:
    """The sales of which a webhook to us was not answered well: read again by the day each was sent."""
    own = await ours(reader.api, reader.webhook_url)
    lost = [event for webhook in own for event in await _unanswered(reader.api, webhook, since)]
    found: dict[str, Transaction] = {}
    for day in sorted({in_utc(event.created_at).date() for event in lost if event.created_at is not None}):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        number, is_last = 1, False
        while not is_last:
            page = await reader.listed(number, start=_moment(start - DAY), end=_moment(start + 2 * DAY))
            found |= {str(row.id): row for row in page.transactions}
            number, is_last = number + 1, _is_last(page, number)
    wanted = {str(event.object_id) for event in lost}
    return Page(events=await reader.told([row for key, row in found.items() if key in wanted]), cursor=None)


async def ours(api: TeachableApi, webhook_url: str) -> Sequence[Webhook]:
    """The webhooks with our address that are not switched off. Raises AuthFailed, Unavailable."""
    page = await api.page("/v1/webhooks", WebhookPage, 1, PER_PAGE)
    return [one for one in page.webhooks if one.url == webhook_url and one.workflow_state != "failed"]


async def _unanswered(api: TeachableApi, webhook: Webhook, since: datetime) -> Sequence[WebhookEvent]:
    """Deliveries of money that were answered with an error."""
    path = f"/v1/webhooks/{webhook.id}/events"
    asked = {"response_http_status_gte": "300", "created_after": _moment(since)}
    page = await api.page(path, WebhookEventPage, 1, PER_PAGE, **asked)
    return [
        event for event in page.events if event.object_id is not None and event.object_type in (None, "Transaction")
    ]


STREAMS: Mapping[str, Callable[[Reader, str | None, datetime], Awaitable[Page]]] = {
    "transactions": transactions,
    "refunds": refunds,
    "chargebacks": chargebacks,
    "missed": missed,
}
"""Sales first: they are what progress is counted in."""


def _is_last(page: TransactionPage, number: int) -> bool:
    return not page.transactions or number >= (page.meta.number_of_pages or number)


def _touched(row: Transaction, since: datetime) -> bool:
    """Whether a row may have changed since."""
    moments = [at for at in (row.purchased_at or row.created_at, row.refunded_at) if at is not None]
    return not moments or max(map(in_utc, moments)) >= since


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _contact(row: Transaction, users: Mapping[str, User]) -> Contact:
    if row.user_id is None:
        return Contact()
    user = users.get(str(row.user_id)) or User(row.user_id)
    return Contact(email=email_of(user.email), external_id=f"user:{row.user_id}", name=user.name or None)


def _items(row: Transaction, plans: Mapping[str, PricingPlan]) -> Sequence[Item]:
    if row.pricing_plan_id is None:
        return []
    plan = plans.get(str(row.pricing_plan_id)) or PricingPlan(row.pricing_plan_id)
    return [Item(external_id=str(row.pricing_plan_id), title=plan.name or f"Product {row.pricing_plan_id}")]
