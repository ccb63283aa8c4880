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


def bodies(site_key: str, events: int) -> Callable[[], bytes]:
    """A function that makes the next body, with ``events`` events in it."""
    visitors = itertools.cycle([_uuid() for _ in range(VISITORS)])

    def make() -> bytes:
        at = datetime.now(UTC).isoformat()
        listed = ",".join(_EVENT % (_uuid(), at) for _ in range(events))
        return (_BODY % (site_key, next(visitors), listed)).encode()

    return make


def _uuid() -> str:
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
