"""Visitors of sites that keep nothing in the browser: an id made of the day's salt, the site, the address and the browser.

The salt is random, the same for a day (in UTC) and for all processes, and gone soon after: then nobody can tell whether two
days' ids are one person's, nor try out which address an id was made of.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import date, datetime
from uuid import UUID

from coursesignal.db.engine import Database

SALT_BYTES = 32
_KEEP = "insert into cookieless_salts (day, salt) values ($1, $2) on conflict do nothing"
_SPENT = "delete from cookieless_salts where day < $1::date - 1"
_SALT = "select salt from cookieless_salts where day = $1"


class DailyVisitors:
    """Makes the ids; remembers the running day's salt only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._day: date | None = None
        self._salt = b""

    async def visitor_id(self, site_id: UUID, address: str, user_agent: str, now: datetime) -> UUID:
        """The same for the same browser on the same site on the same day; raises Busy when the database does not answer."""
        if self._day != now.date():
            await self._turn_to(now.date())
        told = site_id.bytes + address.encode() + b"\0" + user_agent.encode()
        return UUID(bytes=hmac.digest(self._salt, told, hashlib.sha256)[:16], version=4)

    async def _turn_to(self, day: date) -> None:
        """Take up the day's salt: the one another process made, or one made now."""
        async with self._database.control() as conn:
            await conn.execute(_KEEP, day, os.urandom(SALT_BYTES))
            await conn.execute(_SPENT, day)
            self._salt = await conn.fetchval(_SALT, day)
        self._day = day
