"""``coursesignal demo`` as a stranger meets it: what it prints works, it goes on where it was, and it leaves nothing running."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.testing.live import free_port, wait_for

READY_S = 60.0


@dataclass
class Home:
    """A place for one demo, and the words it said."""

    path: Path
    env: Mapping[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(demo(*words), env=self.env, capture_output=True, text=True, timeout=READY_S, check=False)

    def start(self, *words: str) -> subprocess.Popen[str]:
        with self.log.open("w") as log:
            return subprocess.Popen(demo(*words), env=self.env, stdout=log, stderr=log, text=True)

    @property
    def log(self) -> Path:
        return self.path / "said.txt"

    def says(self, pattern: str) -> str | None:
        found = re.search(pattern, self.log.read_text(), re.MULTILINE)
        return found[0] if found else None

    def will_say(self, pattern: str) -> str:
        return wait_for(lambda: self.says(pattern), READY_S, f"a line like {pattern!r}")


def demo(*words: str) -> list[str]:
    return [sys.executable, "-m", "coursesignal", "demo", *words]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    path = Path(tempfile.mkdtemp(prefix="coursesignal-demo-"))
    settings = {"COURSESIGNAL_HOME": str(path), "COURSESIGNAL_PORT": str(free_port()), "COURSESIGNAL_TESTING": "1"}
    yield Home(path, {**os.environ, **settings})
    server = EmbeddedServer(path)
    server.stop()
    for directory in (server.root, server.sockets, path):
        shutil.rmtree(directory, ignore_errors=True)


def test_a_live_demo_prints_what_works_and_ends_with_all_it_started(home: Home) -> None:
    process = home.start("--days", "3")
    try:
        home.will_say("^Live: ")
        family = psutil.Process(process.pid).children(recursive=True)
        assert_its_words_work(home)
        home.will_say(r" – from \S+, in the report after \d")
        assert "A demo runs in" in home.run("--once").stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert home.says("^Stopped. The same command goes on from here")
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert not EmbeddedServer(home.path).is_running()


def assert_its_words_work(home: Home) -> None:
    """The command it offers answers, and each login opens its dashboard."""
    curl = shlex.split(home.will_say(r"curl -s .*"))
    name, _, value = curl[curl.index("-H") + 1].partition(": ")
    report = httpx.get(curl[-1], headers={name: value}).json()
    assert report["currency"] == "USD" and len(report["rows"]) > 3
    password = home.will_say(r"demo-[0-9a-f]+(?= \(for each)")
    address = httpx.URL(home.will_say(r"http://\S+/login"))
    people = re.findall(r"\S+@example\.com", home.log.read_text())
    assert len(people) == 3
    for email in people:
        login = httpx.post(address.copy_with(path="/api/auth/login"), json={"email": email, "password": password})
        assert len(login.json()["tenants"]) == (2 if email.startswith("agency") else 1)


def test_a_second_start_keeps_the_history_and_a_killed_one_does_not_disturb_it(home: Home) -> None:
    killed = home.start("--once")
    home.will_say("Starting the database")
    family = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.wait()
    began = datetime.now(UTC)
    again = home.start()
    try:
        home.will_say("^Live: ")
        assert home.says("The history is there already.")
        assert home.says("credited [+] unattributed − what the platform charged and refunded: 0")
        assert_the_platform_agrees(home, began)
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0
    finally:
        again.kill()
    assert psutil.wait_procs(family, timeout=5)[1] == []


def assert_the_platform_agrees(home: Home, since: datetime) -> None:
    """The platform knows what the history and an earlier run sold: the first comparison of this run finds the same."""
    address = httpx.URL(home.will_say(r"http://\S+/login")).copy_with(path="/api/kajabi/reconciliation")
    headers = {"authorization": f"Bearer {home.will_say('csk_[^ ]+')}"}

    def compared() -> dict[str, Any] | None:
        found = httpx.get(address, headers=headers).json()
        return found if "checkedAt" in found and datetime.fromisoformat(found["checkedAt"]) > since else None

    found = wait_for(compared, READY_S, "a comparison with the platform")
    assert found["agrees"] and not found["differing"], found
    assert sum(one["theirs"] for one in found["currencies"]) > 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--port", "99999"], "99999 is not in the range 1<=x<=65535"),
        (["--check", "--sales", "0"], "0 is not in the range"),
        (["everything"], "unexpected extra argument (everything)"),
    ],
)
def test_words_it_does_not_know_are_refused_by_name(home: Home, words: list[str], answer: str) -> None:
    ended = home.run(*words)
    assert ended.returncode == 2 and answer in ended.stderr


def test_a_taken_port_is_named(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = home.run("--once", "--port", str(port))
    assert ended.returncode == 1
    assert f"Port {port} is taken" in ended.stderr and "--port" in ended.stderr
