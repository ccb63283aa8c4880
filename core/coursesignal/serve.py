"""Web and worker processes under one supervisor that restarts what dies.

The supervisor holds the listening socket, so that a killed web process never makes a client see "connection refused"; its
children end when it ends, however it ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

import httpx
import uvicorn

from coursesignal.app import create_app
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings

GRACE_S = 10.0
"""How long a child may take to finish what it does after being asked to stop."""
RESTART_PAUSES_S = (0.1, 0.2, 0.5, 1.0)
BACKLOG = 2048


@dataclass
class _Child:
    """One supervised process; ``failures`` counts quick deaths in a row."""

    role: str
    command: Sequence[str]
    fd: int | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0

    def start(self, env: Mapping[str, str]) -> None:
        passed = () if self.fd is None or os.name == "nt" else (self.fd,)
        self.process = subprocess.Popen(list(self.command), env=dict(env), pass_fds=passed)
        self.started_at = time.monotonic()

    def schedule_restart(self) -> None:
        lived_s = time.monotonic() - self.started_at
        self.failures = 0 if lived_s > 10 else min(self.failures + 1, len(RESTART_PAUSES_S) - 1)
        self.restart_at = time.monotonic() + RESTART_PAUSES_S[self.failures]
        self.process = None


@dataclass
class Supervisor:
    """Runs ``settings.web_processes`` web processes and two workers, for events and for tasks, until told to stop."""

    settings: Settings
    worker: bool = True
    children: list[_Child] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _socket: socket.socket | None = None

    def run(self) -> None:
        """Supervise until SIGTERM, SIGINT or :meth:`stop`; children get GRACE_S to finish."""
        self.start()
        with _signals(self._stop):
            while not self._stop.wait(0.1):
                self._revive()
        self.shut_down()

    def start(self) -> None:
        """Bind the address and start every child; raises ConfigurationError when the address is taken."""
        self._socket = _listen(self.settings)
        me = [sys.executable, "-m", "coursesignal"]
        fd = self._socket.fileno()
        web = [*me, "web", "--fd", str(fd)] if os.name != "nt" else [*me, "web"]
        self.children = [_Child("web", web, fd=fd) for _ in range(self.settings.web_processes)]
        if self.worker:
            self.children += [
                _Child(f"worker for {share}", [*me, "worker", "--only", share]) for share in ("events", "tasks")
            ]
        for child in self.children:
            child.start(self._environment())

    def stop(self) -> None:
        """Ask :meth:`run` to end."""
        self._stop.set()

    def shut_down(self) -> None:
        """Stop every child, gently first."""
        alive = [child.process for child in self.children if child.process is not None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in alive:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._socket is not None:
            self._socket.close()

    def _revive(self) -> None:
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                print(f"{child.role} ended with {child.process.returncode}; starting it again", file=sys.stderr)
                child.schedule_restart()
            if child.process is None and time.monotonic() >= child.restart_at:
                child.start(self._environment())

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **environment(self.settings), "COURSESIGNAL_PARENT": str(os.getpid())}


class ServerProcess:
    """A supervisor in a process of its own, for tests and the demo: ``with ServerProcess(settings) as server: server.url``."""

    def __init__(self, settings: Settings, *, ready_timeout_s: float = 60.0, quiet: bool = False) -> None:
        self.settings = settings
        self._out = subprocess.DEVNULL if quiet else None
        self.url = f"http://{settings.host}:{settings.port}"
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The supervisor's process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> ServerProcess:
        env = {**os.environ, **environment(self.settings), "COURSESIGNAL_PARENT": str(os.getpid())}
        self._process = subprocess.Popen([sys.executable, "-m", "coursesignal", "serve"], env=env, stdout=self._out)
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        assert self._process is not None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ConfigurationError(
                    f"The server ended at once, with exit code {self._process.returncode}; see above."
                )
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        raise ConfigurationError(f"The server at {self.url} was not ready within {self._ready_timeout_s:.0f} s.")


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which :func:`coursesignal.settings.load` reads these settings again."""
    values: dict[str, object] = {
        "COURSESIGNAL_HOME": settings.home,
        "DATABASE_URL": settings.database_url,
        "COURSESIGNAL_APP_DATABASE_URL": settings.app_database_url,
        "COURSESIGNAL_INGEST_DATABASE_URL": settings.ingest_database_url,
        "COURSESIGNAL_QUEUE_URL": settings.queue_url,
        "COURSESIGNAL_BASE_URL": settings.base_url,
        "COURSESIGNAL_HOST": settings.host,
        "COURSESIGNAL_PORT": settings.port,
        "COURSESIGNAL_WEB_PROCESSES": settings.web_processes,
        "COURSESIGNAL_SMTP_URL": settings.smtp_url,
        "COURSESIGNAL_MAIL_FROM": settings.mail_from,
        "COURSESIGNAL_PLUGINS_FILE": settings.plugins_file,
        "COURSESIGNAL_TENANTS_DIR": settings.tenants_dir,
        "COURSESIGNAL_TRUSTED_PROXIES": ",".join(settings.trusted_proxies),
        "COURSESIGNAL_SECRET_KEYS": settings.secret_keys,
        "COURSESIGNAL_LOG_LEVEL": settings.log_level,
        "COURSESIGNAL_POOL_SIZE": settings.pool_size,
        "COURSESIGNAL_COLLECT_RATE": settings.collect_rate,
        "COURSESIGNAL_OUTBOUND_ALLOW": ",".join(settings.outbound_allow) or None,
        "COURSESIGNAL_TESTING": "1" if settings.testing else None,
    }
    named = {f"COURSESIGNAL_PLATFORM_URL_{slug.upper()}": url for slug, url in settings.platform_urls.items()}
    return {name: str(value) for name, value in {**values, **named}.items() if value is not None}


def run_web(settings: Settings, fd: int | None) -> None:
    """One web process, on the supervisor's socket or on an address of its own."""
    end_with_parent()
    app = create_app(Runtime.prepare(settings))
    config = uvicorn.Config(
        app,
        fd=fd,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level.lower() if settings.log_level != "INFO" else "warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=int(GRACE_S),
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=32 * 1024,
        backlog=BACKLOG,
    )
    _spare_the_collector()
    uvicorn.Server(config).run()


def _spare_the_collector() -> None:
    """What was built at boot stays: without this, walking it again and again takes a tenth of the tracking endpoint's time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000, 20, 20)


def end_with_parent() -> None:
    """Watch the supervisor named in COURSESIGNAL_PARENT: when it is gone, end as if asked to."""
    parent = os.environ.get("COURSESIGNAL_PARENT")
    if not parent or os.name == "nt":
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it. The web process takes the socket by its number and then for a Unix one, so nobody else
    # sets it, and every answer would wait 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}). "
            "Stop what uses it, or choose another with COURSESIGNAL_PORT."
        ) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
