"""An authorization server for fake platforms: codes with PKCE (S256), exact redirect addresses, refresh tokens that rotate.

class FakeMine(FakePlatform):
    def __init__(self): self.authorization = FakeAuthorization("https://mine.test"); super().__init__()
    def routes(self): return [*self.authorization.routes(), ("GET", "/me", …)]
    def refuse(self, call): return None if self.authorization.admits(call) else self.error(401, "The token is not valid.")
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from coursesignal.testing.platforms.server import Call, Reply, Route

OPEN_PATHS = frozenset({"/authorize", "/token"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code was given for."""

    redirect_uri: str
    challenge: str


@dataclass(slots=True)
class FakeAuthorization:
    """Whoever comes to ``/authorize`` allows at once and is sent back with a code."""

    issuer: str
    lifetime_s: int = 3600
    """Of an access token, as ``/token`` tells it."""
    strict: bool = False
    """A refresh token is spent the moment it is used. Otherwise it is good until what it was traded for is used."""
    redirect_uris: set[str] = field(default_factory=set[str])
    """Registered addresses; empty: the first one that comes is registered."""
    codes: dict[str, Grant] = field(default_factory=dict[str, Grant])
    access: set[str] = field(default_factory=set[str])
    refresh: set[str] = field(default_factory=set[str])
    replaced: dict[str, str] = field(default_factory=dict[str, str])
    """The refresh token that each unused token replaces."""
    exchanges: int = 0
    refreshes: int = 0

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        """The server's own paths."""
        return [("GET", "/authorize", self._authorize), ("POST", "/token", self._token)]

    def admits(self, call: Call) -> bool:
        """Whether a call may pass: it goes to the authorization server itself, or bears a good access token."""
        if call.path in OPEN_PATHS:
            return True
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.access:
            return False
        self._used(token)
        return True

    def expire(self) -> None:
        """End every access token before its time."""
        self.access.clear()

    def _authorize(self, call: Call) -> Reply:
        query = call.query
        uri = query.get("redirect_uri", "")
        self.redirect_uris = self.redirect_uris or {uri}
        if uri not in self.redirect_uris or query.get("code_challenge_method") != "S256":
            return Reply(400, {"error": "invalid_request"})
        code = secrets.token_urlsafe(12)
        self.codes[code] = Grant(uri, query.get("code_challenge", ""))
        back = urlencode({"code": code, "state": query.get("state", ""), "iss": self.issuer})
        return Reply(302, {}, {"location": f"{uri}?{back}"})

    def _token(self, call: Call) -> Reply:
        form = call.form
        if form.get("grant_type") == "refresh_token":
            return self._refreshed(form.get("refresh_token", ""))
        self.exchanges += 1
        grant = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if grant is None or grant != Grant(form.get("redirect_uri", ""), challenge):
            return Reply(400, {"error": "invalid_grant", "error_description": "The code is not valid."})
        return self._tokens()

    def _refreshed(self, token: str) -> Reply:
        self.refreshes += 1
        if token not in self.refresh:
            return Reply(400, {"error": "invalid_grant", "error_description": "The refresh token was used already."})
        self._used(token)
        if self.strict:
            self.refresh.discard(token)
            return self._tokens()
        return self._tokens(replacing=token)

    def _used(self, token: str) -> None:
        """What a token replaced is good no longer once the token is used."""
        old = self.replaced.pop(token, None)
        if old is not None:
            self.refresh.discard(old)

    def _tokens(self, replacing: str | None = None) -> Reply:
        access, refresh = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.access.add(access)
        self.refresh.add(refresh)
        if replacing is not None:
            self.replaced |= {access: replacing, refresh: replacing}
        told = {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": self.lifetime_s}
        return Reply(200, told)
