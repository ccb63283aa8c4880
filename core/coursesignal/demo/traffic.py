"""Visitors on the wire: what their browsers post to the tracking endpoint."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from coursesignal.demo.api import DemoFailed
from coursesignal.demo.plan import SiteEvent, Visitor

PATH = "/api/tracking/event"
AT_ONCE = 6
TRIES = 5


@dataclass(frozen=True, slots=True)
class Post:
    """One request of one browser."""

    body: bytes
    user_agent: str
    content_type: str = "application/json"

    async def send(self, http: httpx.AsyncClient) -> None:
        """Post it, again when the server asks to; the events' ids make that harmless."""
        headers = {"content-type": self.content_type, "user-agent": self.user_agent}
        for pause_s in (*[0.2 * 2**n for n in range(TRIES - 1)], None):
            answer = await http.post(PATH, content=self.body, headers=headers)
            if answer.status_code == 202:
                return
            if pause_s is None or answer.status_code not in (429, 503):
                raise DemoFailed(f"POST {PATH} answered {answer.status_code}: {answer.text[:300]}")
            await asyncio.sleep(pause_s)


def orderly(visitor: Visitor, site: str, site_key: str) -> Iterator[Post]:
    """A visitor's visits as they happened: one request each."""
    for visit in visitor.visits:
        yield _post(visitor, site_key, list(visit.events(site)))


def messy(visitors: Iterable[Visitor], site: str, site_key: str, rng: random.Random) -> Sequence[Post]:
    """The same as a bad network brings it: in any order, in pieces or in one, a third of it twice or three times."""
    posts: list[Post] = []
    for visitor in visitors:
        for visit in visitor.visits:
            events = list(visit.events(site))
            pieces = [[event] for event in events] if rng.random() < 0.6 else [events]
            for piece in pieces:
                rng.shuffle(piece)
                kind = rng.choice(("application/json", "text/plain;charset=UTF-8"))
                copies = rng.choices((1, 2, 3), (67, 25, 8))[0]
                posts += [_post(visitor, site_key, piece, kind)] * copies
    rng.shuffle(posts)
    return posts


async def send_all(http: httpx.AsyncClient, posts: Sequence[Post]) -> None:
    """Send them, some at a time, beginning in their order."""
    waiting = iter(posts)

    async def browser() -> None:
        for post in waiting:
            await post.send(http)

    await asyncio.gather(*(browser() for _ in range(AT_ONCE)))


def _post(visitor: Visitor, site_key: str, events: Sequence[SiteEvent], content_type: str = "application/json") -> Post:
    body = {"siteKey": site_key, "visitorId": str(visitor.id), "events": [_told(event) for event in events]}
    return Post(msgspec.json.encode(body), visitor.user_agent, content_type)


def _told(event: SiteEvent) -> dict[str, Any]:
    told = {
        "eventId": str(event.event_id),
        "type": event.type,
        "at": event.at,
        "url": event.url,
        "referrer": event.referrer,
        "title": event.title,
        "email": event.email,
    }
    return {name: value for name, value in told.items() if value}
