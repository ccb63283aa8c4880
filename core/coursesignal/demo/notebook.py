"""What the demo remembers between runs, in a file of the installation that only its owner can read."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

FILE = "demo.json"


class Notebook(msgspec.Struct, kw_only=True, rename="camel"):
    """Passwords and the API key are made per installation; ``until`` is when the history ends."""

    password: str
    until: datetime
    begun: list[str] = []
    """Ids of tenants whose history was begun; writing it again completes it."""
    seeded: list[str] = []
    """Ids of tenants whose history is complete."""
    api_key: str = ""
    first_number: int = msgspec.field(default_factory=lambda: int(time.time()))
    """What the platforms number begins above this, always the same: their sales are told to them anew in each run."""
    last_person: int = 1_000_000
    """Number of the last person that live traffic made up."""

    def keep(self, home: Path) -> None:
        """Write it down; a crash leaves the old or the new state, whole."""
        draft = home / f"{FILE}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self)))
        draft.replace(home / FILE)


def opened(home: Path) -> Notebook:
    """The notebook of an earlier run, or a new one."""
    path = home / FILE
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Notebook)
    return new()


def new() -> Notebook:
    """An empty notebook, with a password nobody else has."""
    return Notebook(password=f"demo-{secrets.token_hex(6)}", until=datetime.now(UTC).replace(microsecond=0))
