"""Which days a report is about, as days of the tenant's zone and as instants.

A day runs from its first midnight to the next day's, so it has 23 or 25 hours when the clocks change; the instants are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from coursesignal.errors import FieldError, Invalid
from coursesignal.reports import ReportPeriod

RANGES = {"7d": 7, "30d": 30, "90d": 90}
"""Days of each named range, today included; "all" is from the first recorded charge or session."""
DEFAULT_RANGE = "30d"
LONGEST_DAYS = 3653
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 12, 31)


@dataclass(frozen=True, slots=True)
class Period:
    """``first`` to ``last``, both included, in ``zone``; as instants ``start_at`` ≤ t < ``end_at``, in UTC."""

    first: date
    last: date
    zone: ZoneInfo
    start_at: datetime
    end_at: datetime
    comparable: bool = True
    """False for "all": nothing can lie before it."""

    @classmethod
    def of_days(cls, first: date, last: date, zone: ZoneInfo, *, comparable: bool = True) -> Period:
        """Whole days."""
        return cls(first, last, zone, midnight(first, zone), midnight(last + timedelta(days=1), zone), comparable)

    @classmethod
    def of_instants(cls, start_at: datetime, end_at: datetime, zone: ZoneInfo) -> Period:
        """Exactly ``start_at`` ≤ t < ``end_at``, such as a launch."""
        last = max(start_at, end_at - timedelta(microseconds=1))
        return cls(
            start_at.astimezone(zone).date(), last.astimezone(zone).date(), zone,
            start_at.astimezone(UTC), end_at.astimezone(UTC),
        )  # fmt: skip

    def before(self) -> Period | None:
        """The period of the same length that ends where this one begins; of the same number of days when it is whole days."""
        if not self.comparable:
            return None
        if self.start_at != midnight(self.first, self.zone) or self.end_at != self._end_of_last:
            return Period.of_instants(self.start_at - (self.end_at - self.start_at), self.start_at, self.zone)
        return Period.of_days(self.first - timedelta(days=len(self.days)), self.first - timedelta(days=1), self.zone)

    @property
    def days(self) -> list[date]:
        """Every day, oldest first."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def midnights(self) -> list[datetime]:
        """The instant each day of :attr:`days` begins."""
        return [midnight(day, self.zone) for day in self.days]

    @property
    def _end_of_last(self) -> datetime:
        return midnight(self.last + timedelta(days=1), self.zone)


Wanted = Period | Literal["all"]
"""What a caller asked for; "all" is resolved against the data (``reading.resolve``)."""


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of ``day``: where the clocks skip midnight the jump itself, where they repeat it the first one."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def asked(range_: str | None, first: str | None, last: str | None, zone: ZoneInfo, now: datetime) -> Wanted:
    """What the query parameters ``range``, ``from`` and ``to`` mean; raise Invalid naming the parameter that is wrong.

    Dates are ``YYYY-MM-DD``; ``to`` alone may be left out and is today. Nothing at all is 30 days.
    """
    if first is None and last is None:
        return named(DEFAULT_RANGE if range_ is None else range_, zone, now)
    if range_ is not None:
        raise _wrong("range", "Give either range, or from and to.")
    if first is None:
        raise _wrong("from", "Give the first day too, as YYYY-MM-DD.")
    start = _day("from", first)
    end = _day("to", last) if last is not None else max(start, now.astimezone(zone).date())
    return _days(start, end, zone)


def named(range_: str, zone: ZoneInfo, now: datetime) -> Wanted:
    """A named range that ends today."""
    if range_ == "all":
        return "all"
    if range_ not in RANGES:
        raise _wrong("range", f"Must be one of {', '.join([*RANGES, 'all'])}.")
    today = now.astimezone(zone).date()
    return Period.of_days(today - timedelta(days=RANGES[range_] - 1), today, zone)


def given(period: ReportPeriod, zone: ZoneInfo, now: datetime) -> Wanted:
    """What a plugin's ``period`` argument means; raise Invalid for one that is none."""
    if isinstance(period, str):
        return named(period, zone, now)
    start, end = period
    if isinstance(start, datetime) and isinstance(end, datetime):
        if start.tzinfo is None or end.tzinfo is None or end <= start:
            raise _wrong("period", "Two instants need time zones, and the second must be later.")
        return Period.of_instants(start, end, zone)
    return _days(start, end, zone)


def _days(start: date, end: date, zone: ZoneInfo) -> Period:
    if end < start:
        raise _wrong("to", "Must not be before from.")
    if (end - start).days >= LONGEST_DAYS:
        raise _wrong("from", "A report covers at most 10 years; choose a later first day.")
    return Period.of_days(start, end, zone)


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not EARLIEST <= day <= LATEST or len(text) != 10:
        raise _wrong(name, f"Must be a day from {EARLIEST} to {LATEST}, as YYYY-MM-DD.")
    return day


def _wrong(path: str, message: str) -> Invalid:
    return Invalid("This is not a period.", errors=[FieldError(path, message)])
