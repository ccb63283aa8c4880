"""What the host needs of the running installation; the runtime is one."""

from __future__ import annotations

from typing import Protocol

from coursesignal.db.engine import Database
from coursesignal.plugins.registry import Registry
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings
from coursesignal.web.limits import RateLimiter


class Host(Protocol):
    """The parts of an installation that plugins are run with."""

    @property
    def settings(self) -> Settings: ...
    @property
    def keys(self) -> KeyRing: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def database(self) -> Database: ...
    @property
    def limiter(self) -> RateLimiter: ...
