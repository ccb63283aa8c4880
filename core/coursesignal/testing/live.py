"""A whole installation in processes of its own, for tests that need real HTTP, a real browser or a real kill."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.serve import ServerProcess
from coursesignal.settings import Settings

T = TypeVar("T")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def live_server(
    home: Path, *, plugins_file: Path = Path("plugins.toml"), platform_urls: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Serve a fresh installation under ``home`` on a free port; its database is removed at the end."""
    port = free_port()
    settings = Settings(
        home=home,
        port=port,
        base_url=f"http://127.0.0.1:{port}",
        platform_urls=platform_urls or {},
        plugins_file=plugins_file.absolute(),
        testing=True,
    )
    embedded = EmbeddedServer(home)
    try:
        with ServerProcess(settings) as process:
            yield process
    finally:
        embedded.stop()
        shutil.rmtree(embedded.root, ignore_errors=True)
        if embedded.sockets != embedded.root:
            shutil.rmtree(embedded.sockets, ignore_errors=True)


def wait_for(ask: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """The first true answer of ``ask``, or AssertionError naming ``what`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")
