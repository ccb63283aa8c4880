"""Move due work from the outbox to the queue, no faster than workers can start it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from saq import Queue

from coursesignal.db.engine import Database
from coursesignal.jobs import leases
from coursesignal.jobs.bells import Bell
from coursesignal.jobs.leases import Slip
from coursesignal.jobs.queue import put
from coursesignal.jobs.retries import reason

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How soon work is found whose notification got lost, or whose time has come."""
FULL_PAUSE_S = 0.1


class Relay:
    """One per worker process. Any number may run: a row is leased to one of them."""

    def __init__(
        self,
        db: Database,
        queue: Queue,
        bell: Bell,
        *,
        room: int,
        lease_s: float,
        timeout_s: float,
        poll_s: float = POLL_S,
    ) -> None:
        self._db = db
        self._queue = queue
        self._bell = bell
        self._room = room
        self._lease_s = lease_s
        self._timeout_s = timeout_s
        self._poll_s = poll_s

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop``; a database or queue that is away is waited for."""
        while not stop.is_set():
            try:
                pause_s = await self.relay_once()
            except Exception as error:
                log.warning("work waits, the database or the queue does not answer: %s", reason(error))
                pause_s = self._poll_s
            if pause_s:
                await self._bell.wait(pause_s)

    async def relay_once(self) -> float:
        """Move what is due and there is room for; returns how long to wait before looking again."""
        room = self._room - await self._queue.count("queued")
        if room <= 0:
            return FULL_PAUSE_S
        slips = await leases.lease_due(self._db, room, self._lease_s)
        await self._put(slips)
        return 0.0 if len(slips) == room else self._poll_s

    async def _put(self, slips: Sequence[Slip]) -> None:
        """Queue every slip; those that could not be are handed back, for nobody would start them before their lease ends."""
        for number, slip in enumerate(slips):
            try:
                await put(self._queue, slip, lease_s=self._lease_s, timeout_s=self._timeout_s)
            except Exception:
                for left in slips[number:]:
                    await leases.hand_back(self._db, left, after_s=self._poll_s)
                raise
