"""How much one connection asks of its platform: a rate, a monthly budget, a pause the platform asked for, and a circuit breaker.

The counts are in the database, so that all processes share them. Requests are granted a few at a time; what was granted and
not used is given back.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

import asyncpg
import httpx

from coursesignal.db.engine import Database
from coursesignal.plugin import Unavailable

GRANTED_AT_ONCE = 10
BURST_S = 10
"""A connection that was quiet may ask at once what its rate allows in this time."""
LONGEST_SLEEP_S = 30.0
"""A longer wait ends the attempt; the task comes again."""
FAILURES_TO_OPEN, OPEN_S, LONGEST_OPEN_S = 5, 60.0, 3600.0


class Held(Unavailable):
    """We do not ask the platform now: it is not the platform that failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may ask; None is no limit."""

    per_minute: int | None = None
    monthly: int | None = None


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a connection asked lately."""

    month: date
    used: int = 0
    tokens: float = 0.0
    refilled_at: datetime | None = None
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """How many requests may be made now; with none, the seconds to wait, or that the month's are spent."""

    requests: int
    wait_s: float = 0.0
    spent: bool = False


def grant(gauge: Gauge, limits: Limits, want: int, now: datetime) -> tuple[Gauge, Grant]:
    """The gauge after granting up to ``want`` requests at ``now``. Pure."""
    month = now.astimezone(UTC).date().replace(day=1)
    if gauge.month != month:
        gauge = replace(gauge, month=month, used=0)
    if gauge.paused_until is not None and now < gauge.paused_until:
        return gauge, Grant(0, (gauge.paused_until - now).total_seconds())
    left = want if limits.monthly is None else min(want, limits.monthly - gauge.used)
    if left <= 0:
        return gauge, Grant(0, (next_month(month) - now).total_seconds(), spent=True)
    if limits.per_minute is None:
        return replace(gauge, used=gauge.used + left), Grant(left)
    rate, most = limits.per_minute / 60, max(1.0, limits.per_minute * BURST_S / 60)
    passed = (now - gauge.refilled_at).total_seconds() if gauge.refilled_at else float("inf")
    tokens = min(most, gauge.tokens + max(0.0, passed) * rate) if gauge.refilled_at else most
    granted = min(left, int(tokens))
    gauge = replace(gauge, tokens=tokens - granted, refilled_at=now, used=gauge.used + granted)
    return gauge, Grant(granted, 0.0 if granted else (1 - tokens) / rate)


def next_month(month: date) -> datetime:
    """The first moment of the month after ``month``, in UTC."""
    first = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    return datetime(first.year, first.month, 1, tzinfo=UTC)


def open_s(failures: int, *, chance: float | None = None) -> float:
    """How long the circuit stays open after that many failures in a row; 0 while they are few. Pure but for chance."""
    if failures < FAILURES_TO_OPEN:
        return 0.0
    grown = min(LONGEST_OPEN_S, OPEN_S * 2.0 ** min(failures - FAILURES_TO_OPEN, 20))
    spread = random.random() if chance is None else chance  # noqa: S311
    return grown * (0.75 + spread / 4)


def asked_pause(response: httpx.Response, now: datetime) -> timedelta | None:
    """How long an answer of 429 or 503 asks us to wait: ``Retry-After`` in seconds or as a date; None when it says nothing."""
    if response.status_code not in (429, 503):
        return None
    text = response.headers.get("retry-after", "").strip()
    if text.isdigit():
        return timedelta(seconds=min(int(text), 86_400))
    try:
        return max(parsedate_to_datetime(text) - now, timedelta()) if text else None
    except (TypeError, ValueError):
        return None


_GAUGE = "month, used, tokens, refilled_at, paused_until"


class Meter:
    """The meter of one connection, for one stretch of work; :meth:`settle` at its end."""

    def __init__(self, db: Database, tenant_id: UUID, connection_id: UUID, name: str, limits: Limits) -> None:
        self._db, self._tenant_id, self._connection_id = db, tenant_id, connection_id
        self._name, self._limits = name, limits
        self._left = 0
        self._failures = 0

    async def take(self, request: httpx.Request) -> None:
        """Wait until a request may be made; raises Held when that takes long."""
        while self._left <= 0:
            granted = await self._lease()
            self._left += granted.requests
            if granted.spent:
                raise Held(self._spent(), retry_after=timedelta(seconds=granted.wait_s))
            if not granted.requests and granted.wait_s > LONGEST_SLEEP_S:
                raise Held(f"{self._name} asked us to wait.", retry_after=timedelta(seconds=granted.wait_s))
            if not granted.requests:
                await asyncio.sleep(granted.wait_s)
        self._left -= 1

    def _spent(self) -> str:
        return (
            f"All {self._limits.monthly:,} requests to {self._name} that this connection has in a month are used. "
            "It goes on with the next month, or when you allow it more."
        )

    async def _lease(self) -> Grant:
        async with self._db.tenant(self._tenant_id) as conn:
            row = await self._row(conn, _GAUGE + ", clock_timestamp() as now")
            *gauge, now = row
            after, granted = grant(Gauge(*gauge), self._limits, GRANTED_AT_ONCE, now)
            await conn.execute(
                "update connection_meters set month = $3, used = $4, tokens = $5, refilled_at = $6 "
                "where tenant_id = $1 and connection_id = $2",
                self._tenant_id, self._connection_id, after.month, after.used, after.tokens, after.refilled_at,
            )  # fmt: skip
        return granted

    async def _row(self, conn: asyncpg.Connection, columns: str) -> asyncpg.Record:
        """This connection's row, locked; made when it is missing."""
        await conn.execute(
            "insert into connection_meters (tenant_id, connection_id) values ($1, $2) on conflict do nothing",
            self._tenant_id, self._connection_id,
        )  # fmt: skip
        row = await conn.fetchrow(
            f"select {columns} from connection_meters where tenant_id = $1 and connection_id = $2 for update",  # noqa: S608 – of constants
            self._tenant_id, self._connection_id,
        )  # fmt: skip
        assert row is not None
        return row

    async def heed(self, response: httpx.Response) -> None:
        """Note the pause that an answer asks for: it binds everybody who works with this connection."""
        pause = asked_pause(response, datetime.now(UTC))
        if pause:
            self._left = 0
            await self._update("paused_until = clock_timestamp() + $3", pause)

    async def settle(self) -> None:
        """Give back what was granted and not used."""
        if self._left > 0:
            left, self._left = self._left, 0
            await self._update("used = greatest(0, used - $3), tokens = tokens + $3", left)

    async def require_closed(self) -> None:
        """Raise Held while the circuit is open; one caller is let through when it has been open long enough."""
        async with self._db.tenant(self._tenant_id) as conn:
            row = await self._row(conn, "failures, open_until, open_until - clock_timestamp() as wait")
            self._failures = row["failures"]
            if row["open_until"] is None:
                return
            if row["wait"] > timedelta():
                raise Held(self._open(), retry_after=row["wait"])
            await self._update("open_until = clock_timestamp() + $3", timedelta(seconds=OPEN_S))

    def _open(self) -> str:
        return f"{self._name} did not work {self._failures} times in a row, so it is left alone for a while."

    async def failed(self) -> None:
        """Count a failure of the platform; after several in a row it is left alone, longer each time."""
        self._failures += 1
        wait = open_s(self._failures)
        until = timedelta(seconds=wait) if wait else None
        await self._update("failures = failures + 1, open_until = clock_timestamp() + $3", until)

    async def worked(self) -> None:
        """The platform works: close the circuit."""
        if self._failures:
            self._failures = 0
            await self._update("failures = 0, open_until = $3", None)

    async def _update(self, change: str, value: object) -> None:
        async with self._db.tenant(self._tenant_id) as conn:
            await conn.execute(
                f"update connection_meters set {change} where tenant_id = $1 and connection_id = $2",  # noqa: S608 – of constants
                self._tenant_id, self._connection_id, value,
            )  # fmt: skip


async def close_circuit(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> None:
    """Let the platform be asked again at once: a person wants it so."""
    await conn.execute(
        "update connection_meters set open_until = null where tenant_id = $1 and connection_id = $2",
        tenant_id, connection_id,
    )  # fmt: skip
