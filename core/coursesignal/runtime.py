"""One process's parts, put together once: settings, keys, database, plugins.

Lower floors never look up; what they need is handed to them from here as plain values.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from coursesignal.attribution.tasks import handlers as attribution_handlers
from coursesignal.commerce.tasks import handlers as commerce_handlers
from coursesignal.connections.tasks import handlers as connection_handlers
from coursesignal.db.embedded import EmbeddedServer
from coursesignal.db.engine import Database
from coursesignal.db.migrate import Migrator
from coursesignal.db.roles import Addresses, addresses, bootstrap
from coursesignal.identity.tasks import handlers as identity_handlers
from coursesignal.jobs import outbox
from coursesignal.jobs.mail import Mailer
from coursesignal.jobs.tasks import Handler
from coursesignal.plugin import BaseContext, Tenant
from coursesignal.plugins.context import base_context
from coursesignal.plugins.dispatch import handlers as plugin_handlers
from coursesignal.plugins.registry import Registry, load_registry
from coursesignal.plugins.supply import channel_rules_of, plugin_is_on
from coursesignal.privacy.tasks import handlers as privacy_handlers
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings
from coursesignal.tracking.goals import handlers as goal_handlers
from coursesignal.tracking.pipeline import drain_all
from coursesignal.tracking.reapply import handlers as tracking_handlers
from coursesignal.tracking.turns import Turns
from coursesignal.web.limits import RateLimiter


@dataclass(slots=True)
class Runtime:
    """Everything a web process, a worker or a command needs; ``database`` is usable between :meth:`start` and :meth:`stop`."""

    settings: Settings
    keys: KeyRing
    registry: Registry
    where: Addresses
    server: EmbeddedServer | None
    database: Database
    limiter: RateLimiter
    mailer: Mailer

    @classmethod
    def prepare(cls, settings: Settings, *, where: Addresses | None = None) -> Self:
        """Load keys and plugins and start the embedded server if there is no other; connects to nothing yet."""
        keys = KeyRing.load(settings)
        registry = load_registry(settings)
        outbox.listen_to(registry.hook_names)
        server = None
        if where is None:
            server = None if settings.database_url else EmbeddedServer(settings.home).start()
            where = addresses(settings, server, keys.database_secret)
        database = Database(where.app, where.ingest, pool_size=settings.pool_size, hash_key=keys.hash_key)
        mailer = Mailer(settings, keys, database)
        return cls(settings, keys, registry, where, server, database, RateLimiter(), mailer)

    @property
    def migrator(self) -> Migrator:
        """Core's and the plugins' migrations on this installation's database."""
        return Migrator(self.where.owner, self.registry.migration_sources)

    async def make_room(self) -> None:
        """See that the roles and the database are there."""
        await bootstrap(self.where, embedded=self.server is not None, secret=self.keys.database_secret)

    async def migrate(self) -> None:
        """Bring roles, database and tables up to date; cheap when they are."""
        await self.make_room()
        if await self.migrator.plan():
            await self.migrator.up()

    async def start(self) -> None:
        """Connect. On the embedded server pending migrations run first; elsewhere ``migrate up`` is the operator's call."""
        if self.server is not None:
            await self.migrate()
        await self.database.start()

    async def stop(self) -> None:
        """Disconnect; the embedded server stays up for other processes."""
        await self.database.close()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Self]:
        """A started runtime, stopped at the end."""
        runtime = cls.prepare(settings)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.stop()

    def contexts(self, tenant: Tenant, plugin: str) -> BaseContext:
        """What a connector of ``plugin`` works with for one tenant, besides its connection."""
        return base_context(self, tenant, plugin)

    async def plugin_is_on(self, tenant_id: UUID, slug: str) -> bool:
        """Whether the tenant is granted the plugin and has it on."""
        return await plugin_is_on(self, tenant_id, slug)

    def handlers(self) -> Mapping[str, Handler]:
        """Every kind of task this process can run, by name."""
        return {
            **attribution_handlers(self.registry.models),
            **identity_handlers(),
            **commerce_handlers(),
            **connection_handlers(self),
            **privacy_handlers(self),
            **goal_handlers(self.database),
            **tracking_handlers(channel_rules_of(self)),
            **plugin_handlers(self),
        }

    def event_turns(self) -> Turns:
        """The turns in which a worker processes the tenants' events."""
        return Turns(self.database, channel_rules_of(self))

    async def drain_events(self) -> int:
        """Turn stored events into visitors, sessions and touches; return how many were processed."""
        return await drain_all(self.database, channel_rules_of(self))
