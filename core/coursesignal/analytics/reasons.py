"""Why a touch was credited, in words: its place on the way to the purchase, as the model looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from coursesignal.attribution.paths import Journey
from coursesignal.plugin import Touch

MATCHES: Mapping[str, str] = {
    "email": "The buyer gave this e-mail address on your website.",
    "probable": "Nobody gave this e-mail address on your website, but one browser was at the checkout when this was bought.",
    "unmatched": "Nobody who gave this e-mail address was seen on your website.",
}
"""What each ``match`` of a purchase means."""


@dataclass(frozen=True, slots=True)
class Place:
    """The touch at ``index`` of a path; ``index`` counts from 0, oldest first."""

    path: Sequence[Touch]
    index: int
    purchased_at: datetime

    @property
    def touch(self) -> Touch:
        return self.path[self.index]

    @property
    def of_all(self) -> str:
        return f"touch {self.index + 1} of {len(self.path)}"


def evidence(match: str) -> str:
    """What ties the purchase to the visits it is credited to."""
    return MATCHES.get(match, f"The buyer was recognised by {match.replace('_', ' ')}.")


def reason(model: str, name: str, journey: Journey | None, touch_id: UUID, weight: float) -> str:
    """Such as "first of 3 touches under First touch", for the model of that slug and name; without the share when it is all."""
    share = "" if weight == 1 else f"weight {weight:.4g}: "
    if journey is None or touch_id not in journey.touch_ids:
        return f"{share}credited under {name}"
    place = Place(journey.path, journey.touch_ids.index(touch_id), journey.purchased_at)
    return f"{share}{_WHY.get(model.rstrip('0123456789').rstrip('_'), _any)(place)} under {name}"


def _any(place: Place) -> str:
    return place.of_all


def _first(place: Place) -> str:
    return f"first of {_touches(len(place.path))}"


def _last(place: Place) -> str:
    return f"last of {_touches(len(place.path))}"


def _last_non_direct(place: Place) -> str:
    if place.touch.is_direct:
        return f"last of {_touches(len(place.path))}, all of them direct"
    known = sum(not touch.is_direct for touch in place.path)
    return f"last of {_touches(known)} that came from somewhere, {place.of_all}"


def _linear(place: Place) -> str:
    return f"{place.of_all}, each with the same share"


def _linear_paid(place: Place) -> str:
    if not place.touch.is_paid:
        return f"{place.of_all}, each with the same share because none was paid for"
    return f"one of {_touches(sum(touch.is_paid for touch in place.path))} that were paid for, {place.of_all}"


def _position(place: Place) -> str:
    if len(place.path) == 1:
        return "the only touch"
    if place.index == 0:
        return f"position-based first of {_touches(len(place.path))}"
    if place.index == len(place.path) - 1:
        return f"position-based last of {_touches(len(place.path))}"
    return f"position-based between first and last, {place.of_all}"


def _w_shaped(place: Place) -> str:
    roles = [
        name
        for name, is_it in (
            ("first", place.index == 0),
            ("opt-in", place.touch.is_opt_in),
            ("last", place.index == len(place.path) - 1),
        )
        if is_it
    ]
    return f"{' and '.join(roles)}, {place.of_all}" if roles else f"beside the anchors, {place.of_all}"


def _time_decay(place: Place) -> str:
    days = max(0.0, (place.purchased_at - place.touch.occurred_at).total_seconds() / 86_400)
    return f"{place.of_all}, {days:.1f} days before the purchase"


def _opt_in(place: Place) -> str:
    return f"the visit in which the address was first given, {place.of_all}"


def _shapley(place: Place) -> str:
    channels = len({touch.channel for touch in place.path})
    return f"{place.of_all}: {place.touch.channel} is one of {channels} channels on the way"


def _markov(place: Place) -> str:
    return f"{place.of_all}, by how many sales would be lost without {place.touch.channel}"


def _touches(count: int) -> str:
    return f"{count} touch{'' if count == 1 else 'es'}"


_WHY: Mapping[str, Callable[[Place], str]] = {
    "first_touch": _first,
    "last_touch": _last,
    "last_non_direct": _last_non_direct,
    "linear": _linear,
    "linear_paid": _linear_paid,
    "position_based": _position,
    "w_shaped": _w_shaped,
    "time_decay": _time_decay,
    "opt_in": _opt_in,
    "shapley": _shapley,
    "markov": _markov,
}
