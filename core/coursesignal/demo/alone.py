"""One demo per installation: two that sell under the same numbers would tell of two sales as one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from coursesignal.errors import ConfigurationError


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Keep other demos out of ``home``; a crash lets go of it. Raises ConfigurationError when one runs there."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("w") as handle:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"A demo runs in {home} already. Stop it first, or give this one another COURSESIGNAL_HOME."
            ) from error
        yield
