"""Access tokens, kept in memory for as long as Kajabi says they last: a sync asks for one, not for one per page."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from coursesignal_kajabi.settings import KajabiCredentials

MARGIN_S = 60
UNTOLD_S = 600
"""How long a token is used that tells no time of its end; one that ended before is replaced anyway."""
MOST = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it is no longer used, on the monotonic clock."""

    text: str
    until: float


def account_of(base_url: str, credentials: KajabiCredentials) -> str:
    """What tells one key at one address from another, without being the key."""
    parts = (base_url, credentials.client_id, credentials.client_secret)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Tokens:
    """The tokens of this process, by account."""

    def __init__(self) -> None:
        self._kept: dict[str, Token] = {}

    def get(self, account: str) -> str | None:
        """A token that still lasts."""
        token = self._kept.get(account)
        return token.text if token is not None and token.until > time.monotonic() else None

    def keep(self, account: str, text: str, expires_in_s: int | None) -> None:
        """Remember a token."""
        if len(self._kept) >= MOST:
            self._kept.clear()
        lasts = UNTOLD_S if expires_in_s is None else max(0, expires_in_s - MARGIN_S)
        self._kept[account] = Token(text, time.monotonic() + lasts)

    def drop(self, account: str) -> None:
        """Forget the account's token."""
        self._kept.pop(account, None)


TOKENS = Tokens()
