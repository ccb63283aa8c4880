"""What any model makes of a path data set: channels in order, with how many such journeys converted and how many did not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from coursesignal.attribution.allocate import check_weights
from coursesignal.attribution.markov import Row
from coursesignal.plugin import AttributionModel, FittedAttributionModel, PathRecord, Touch

BOUGHT_AT = datetime(2000, 1, 1, tzinfo=UTC)
APART = timedelta(days=1)
DIRECT = frozenset({"direct", "(direct)"})


def conversions(model: AttributionModel, rows: Iterable[Row], *, apart: timedelta = APART) -> Mapping[str, float]:
    """Each channel's part of the conversions of ``rows``, such as ``(["fb", "email"], 10, 20)``.

    Such data have no times: touches are taken to be ``apart``, the last of them at the purchase. A model that learns learns from
    these very rows, and its order-level credits are summed; raises TooLittleData when they are too few.
    """
    known = [(touches(row[0], apart), row[1], row[2]) for row in rows]
    if isinstance(model, FittedAttributionModel):
        records = [PathRecord(path=path, conversions=won, losses=lost) for path, won, lost in known]
        model = model.load(model.fit(records))
    credited: dict[str, float] = defaultdict(float)
    for path, won, _ in known:
        if path and won:
            weights = check_weights(model.credit(path, BOUGHT_AT), len(path))
            for touch, weight in zip(path, weights, strict=bool(weights)):
                credited[touch.channel] += weight * won
    return dict(credited)


def touches(channels: Sequence[str], apart: timedelta = APART) -> tuple[Touch, ...]:
    """A journey through these channels, the oldest first, that ended in a purchase at BOUGHT_AT."""
    return tuple(
        Touch(channel, BOUGHT_AT - (len(channels) - 1 - n) * apart, is_direct=channel.lower() in DIRECT)
        for n, channel in enumerate(channels)
    )
