"""Bodies of collect requests as the tracker makes them: new event ids each time, visitors that come back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime

VISITORS = 20_000
_EVENT = (
    '{"eventId":"%s","type":"pageview","at":"%s","url":"https://www.example.com/blog/how-to-sell?utm_source=youtube'
    '&utm_medium=video&utm_campaign=spring","referrer":"https://www.youtube.com/","title":"How to sell a course"}'
)
_BODY = '{"siteKey":"%s","visitorId":"%s","events":[%s]}'


def bodies(site_key: str, events: int, visitors: int = VISITORS) -> Callable[[], bytes]:
    """A function that makes the next body, with ``events`` events in it, of one of ``visitors`` people."""
    people = itertools.cycle([_uuid() for _ in range(visitors)])

    def make() -> bytes:
        at = datetime.now(UTC).isoformat()
        listed = ",".join(_EVENT % (_uuid(), at) for _ in range(events))
        return (_BODY % (site_key, next(people), listed)).encode()

    return make


def event_of(site_key: str, source: str) -> bytes:
    """The body of one visit by somebody new from ``source``."""
    at = datetime.now(UTC).isoformat()
    event = (_EVENT % (_uuid(), at)).replace("utm_source=youtube", f"utm_source={source}")
    return (_BODY % (site_key, _uuid(), event)).encode()


def _uuid() -> str:
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
