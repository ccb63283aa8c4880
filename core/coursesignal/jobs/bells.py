"""Wake a loop when there is something to do: by the database's notifications while connected, by polls always."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

import asyncpg

from coursesignal.jobs.retries import reason

log = logging.getLogger(__name__)

RECONNECT_S = 1.0
PROBE_S = 20.0


class Bell:
    """Rung from anywhere in the event loop, waited for in one place; a ring while nobody waits is kept."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring, or after ``timeout_s``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), timeout_s)
        self._rung.clear()


class Listener:
    """Rings each channel's bell for its notifications, on one connection of its own."""

    def __init__(self, url: str, channels: Iterable[str]) -> None:
        self._url = url
        self.bells = {channel: Bell() for channel in channels}

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is made again, and what was missed meanwhile is rung for."""
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("notifications are lost, polling goes on: %s", reason(error))
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, command_timeout=5)
        try:
            for channel in self.bells:
                await connection.add_listener(channel, self._heard)
            for bell in self.bells.values():
                bell.ring()
            while True:  # a connection that is dead without saying so answers no probe
                await asyncio.sleep(PROBE_S)
                await connection.execute("select 1")
        finally:
            connection.terminate()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self.bells[channel].ring()
