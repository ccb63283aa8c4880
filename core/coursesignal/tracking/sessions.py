"""Which events form one visit, and which of them are touches. Pure: it depends on the events alone, not on when they came.

* A session is a run of one visitor's events, in the order of :attr:`Event.order`, with no gap above 30 minutes.
* Its first event is a touch, direct when it says nothing about where the visitor came from.
* A later event of the session is a touch when it carries a marketing source (UTM parameters, a click id, or an outside referrer)
  that differs from the one of the session's latest touch. Coming back with the same source is the same touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from coursesignal.tracking.batch import Event, Session, Touch
from coursesignal.tracking.exclusions import Exclusions

GAP = timedelta(minutes=30)

ExclusionsOf = Mapping[UUID, Exclusions]
"""By site."""
_NONE = Exclusions()


def runs(events: Iterable[Event]) -> list[list[Event]]:
    """The events, which are one visitor's and in order, cut where the gap is above 30 minutes."""
    cut: list[list[Event]] = []
    for event in events:
        if cut and event.occurred_at - cut[-1][-1].occurred_at <= GAP:
            cut[-1].append(event)
        else:
            cut.append([event])
    return cut


def open_session(event: Event, session_id: UUID) -> Session:
    """An empty session that starts with ``event``."""
    session = Session(session_id, event.visitor_id, event.site_id, event.occurred_at, event.occurred_at, event.url)
    session.device, session.browser, session.system = event.read_device()
    session.country, session.fingerprint = event.country, event.fingerprint
    return session


def add_run(session: Session, run: Sequence[Event], exclusions: ExclusionsOf) -> list[Touch]:
    """Put a run of events at the end of ``session`` and return the touches among them."""
    touches = []
    for event in run:
        touch = _touch(session, event, exclusions.get(event.site_id, _NONE))
        if touch is not None:
            touches.append(touch)
            session.last_key = touch.origin.key
        event.session_id = session.id
        session.ended_at = event.occurred_at
        session.events += 1
        session.pageviews += event.type == "pageview"
    return touches


def rebuild(
    events: Sequence[Event], known: Mapping[UUID, Session], new_id: Callable[[], UUID], exclusions: ExclusionsOf
) -> tuple[list[Session], list[Touch]]:
    """Sessions and touches of a visitor's events from scratch; a run keeps the id of the earliest known session in it."""
    sessions, touches = [], []
    for run in runs(sorted(events, key=lambda event: event.order)):
        before = {event.session_id for event in run if event.session_id in known}
        earliest = min(before, key=lambda session_id: (known[session_id].started_at, session_id), default=None)  # type: ignore[index]
        session = open_session(run[0], earliest or new_id())
        touches += add_run(session, run, exclusions)
        sessions.append(session)
    return sessions, touches


def _touch(session: Session, event: Event, exclusions: Exclusions) -> Touch | None:
    if session.last_key is not None and not event.referrer and "=" not in event.url:
        return None  # the common case: a page further on, with nothing to read
    origin = event.read_origin(exclusions)
    if session.last_key is None or (not origin.is_direct and origin.key != session.last_key):
        return Touch(event, session.id, origin)
    return None
