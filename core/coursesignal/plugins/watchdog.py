"""Notice a plugin that blocks the event loop, which no time limit inside the loop can.

A hook that calls ``time.sleep`` or computes for minutes stops every other task of its worker. The watchdog runs in a thread: it
says which call it is and where it stands, and in a worker ends the process. The supervisor starts another one, the lease of the
task runs out, and after its attempts the task is a dead letter.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

GRACE_S = 5.0
"""How long past its limit a call may keep the loop."""
EXIT_CODE = 75
"""EX_TEMPFAIL: start again."""


def end_process(what: str) -> None:
    """End this process at once, as a crash would."""
    logging.shutdown()
    os._exit(EXIT_CODE)


class Watchdog:
    """Watches calls from a thread that runs only while there are some."""

    def __init__(self) -> None:
        self.grace_s = GRACE_S
        self.when_blocked: Callable[[str], None] = lambda what: None
        """Called, in the watchdog's thread, with the call that blocks."""
        self._numbers = itertools.count()
        self._watched: dict[int, tuple[str, float, int]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, what: str, limit_s: float) -> Iterator[None]:
        """Report ``what`` when the block lasts longer than ``limit_s`` and the grace."""
        number = next(self._numbers)
        with self._lock:
            self._watched[number] = (what, time.monotonic() + limit_s + self.grace_s, threading.get_ident())
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="plugin-watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(number, None)

    def _watch(self) -> None:
        while True:
            time.sleep(min(self.grace_s, 1.0) / 4)
            with self._lock:
                now = time.monotonic()
                late = [number for number, (_, deadline, _) in self._watched.items() if deadline < now]
                blocked = [self._watched.pop(number) for number in late]
                if not self._watched and not blocked:
                    self._thread = None
                    return
            for what, _, thread in blocked:
                self._report(what, thread)

    def _report(self, what: str, thread: int) -> None:
        frame = sys._current_frames().get(thread)
        where = "".join(traceback.format_stack(frame)[-3:]) if frame else "(gone)\n"
        log.critical(
            "%s blocks the event loop. Make it await, or move the work to a thread. It stands at:\n%s", what, where
        )
        self.when_blocked(what)


WATCHDOG = Watchdog()
"""This process's watchdog."""
