"""Whose events are processed next: every tenant in its turn, several at a time, and none that has to wait for another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from uuid import UUID

from coursesignal.db.engine import Database
from coursesignal.tracking.pipeline import ChannelRulesOf, drain, tenants_with_events

logger = logging.getLogger(__name__)

ASIDE_S = 5.0
"""How long a tenant whose events failed waits for its next turn."""


class Turns:
    """The turns of one process. Other processes may be at it too: a tenant that one of them has is passed over."""

    def __init__(self, db: Database, rules_of: ChannelRulesOf) -> None:
        self._db = db
        self._rules_of = rules_of
        self._waiting: deque[UUID] = deque()
        self._busy: set[UUID] = set()
        self._aside: dict[UUID, float] = {}
        self._looking = asyncio.Lock()

    async def work(self) -> int:
        """Process some of what the next tenant has waiting and return how many events; 0 when nobody has any.

        For as many tasks at once as wanted: while one waits for the database, another reads events. Raises what the pipeline
        raised; the other tenants go on.
        """
        tenant_id = await self._take()
        if tenant_id is None:
            return 0
        try:
            return await drain(self._db, tenant_id, await self._rules_of(tenant_id))
        except Exception:
            logger.exception("events of tenant %s could not be processed; they stay queued", tenant_id)
            self._aside[tenant_id] = time.monotonic() + ASIDE_S
            raise
        finally:
            self._busy.discard(tenant_id)

    async def _take(self) -> UUID | None:
        async with self._looking:
            if not self._waiting:
                self._waiting.extend(await self._find())
            while self._waiting:
                tenant_id = self._waiting.popleft()
                if tenant_id not in self._busy:
                    self._busy.add(tenant_id)
                    return tenant_id
        return None

    async def _find(self) -> list[UUID]:
        now = time.monotonic()
        self._aside = {tenant_id: until for tenant_id, until in self._aside.items() if until > now}
        found = await tenants_with_events(self._db)
        return [tenant_id for tenant_id in found if tenant_id not in self._busy and tenant_id not in self._aside]
