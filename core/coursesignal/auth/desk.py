"""What a call about accounts works with: the parts of the process, and who is at the other end of the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from litestar import Request

from coursesignal.auth.addresses import address_key
from coursesignal.db.engine import Database
from coursesignal.jobs.mail import Mailer, queue_mail
from coursesignal.security.keys import KeyRing
from coursesignal.security.tokens import new_token
from coursesignal.settings import Settings
from coursesignal.web.clients import client_address, rate_key
from coursesignal.web.limits import RateLimiter


@dataclass(frozen=True, slots=True)
class Desk:
    """Handed to every service of this area; ``client`` is what to count a stranger's calls by."""

    db: Database
    keys: KeyRing
    settings: Settings
    limiter: RateLimiter
    mailer: Mailer
    client: str

    async def mail(
        self, conn: asyncpg.Connection, to: str, subject: str, text: str, *, tenant_id: UUID | None = None
    ) -> None:
        """Put a mail on record in this transaction; :meth:`deliver` after it sends at once what the worker would send soon."""
        await queue_mail(
            conn, self.keys, to=to, subject=subject, text=text, key=f"account:{new_token()}", tenant_id=tenant_id
        )

    def deliver(self) -> None:
        """Have recorded mails sent now."""
        self.mailer.deliver_soon()

    async def limit(self, what: str, whom: str, hits: int, window_s: int) -> None:
        """Count one call; raises RateLimited. ``whom`` is stored as a keyed hash. Outside of transactions only."""
        await self.limiter.hit(self.db, self._bucket(what, whom), hits, window_s)

    async def pardon(self, what: str, whom: str) -> None:
        """Forget the calls counted so far."""
        await self.limiter.forget(self.db, self._bucket(what, whom))

    def _bucket(self, what: str, whom: str) -> str:
        return f"{what}:{self.keys.keyed_hash(address_key(whom)).hex()[:32]}"


def provide_desk(request: Request[Any, Any, Any]) -> Desk:
    """The process's parts, left by the application."""
    runtime = request.app.state.runtime
    client = rate_key(client_address(request, runtime.settings.trusted_proxies))
    return Desk(runtime.database, runtime.keys, runtime.settings, runtime.limiter, runtime.mailer, client)
