"""Tenant-bound transactions: one connection, one tenant, always released.

Everything a request or job does happens in ``Database.tenant(id)`` (row-level security shows that tenant only) or in
``Database.control()`` (no tenant bound: the control-plane tables, and no tenant's row). Both yield the asyncpg connection;
Piccolo tables used inside run on the same connection and transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from coursesignal.errors import Busy, CourseSignalError

COMMAND_TIMEOUT_S = 30.0
ACQUIRE_TIMEOUT_S = 5.0


class NoTenant(CourseSignalError):
    """A query was made outside a transaction, or for another tenant than the one bound."""


_bound: ContextVar[UUID | None] = ContextVar("bound_tenant", default=None)
_hash_key: ContextVar[bytes] = ContextVar("hash_key")


def hash_key() -> bytes:
    """The key under which the open transaction's installation hashes what is personal; raises NoTenant outside of one."""
    try:
        return _hash_key.get()
    except LookupError:
        raise NoTenant("keyed hashes are made inside a transaction") from None


class _Transaction(PostgresTransaction):
    """Joins a transaction that ``Database`` opened, so that Piccolo runs on its connection."""

    def __init__(self, engine: PostgresEngine, connection: asyncpg.Connection) -> None:
        self.engine = engine
        self.connection = connection
        self._parent = None
        self._savepoint_id = 0
        self._committed = self._rolled_back = False


class AppEngine(PostgresEngine):
    """Piccolo's engine without connections of its own: queries run in the current transaction or not at all."""

    def __init__(self) -> None:
        super().__init__(config={})

    async def check_version(self) -> None:  # Piccolo would connect here, at construction
        return None

    async def prep_database(self) -> None:
        return None

    async def _run_in_pool(self, query: str, args: Sequence[Any] | None = None) -> Any:
        raise NoTenant("query outside a transaction: use Database.tenant(…) or Database.control()")

    async def _run_in_new_connection(self, query: str, args: Sequence[Any] | None = None) -> Any:
        raise NoTenant("query outside a transaction: use Database.tenant(…) or Database.control()")

    async def batch(self, *args: Any, **kwargs: Any) -> Any:
        raise NoTenant("batch() opens a connection of its own and leaves the tenant's transaction")

    def transaction(self, allow_nested: bool = True) -> Any:
        raise NoTenant("open transactions with Database.tenant(…) or Database.control()")


ENGINE = AppEngine()
"""The engine of every ``Table`` class, core's and plugins'; it only knows the current transaction."""


async def _prepare(connection: asyncpg.Connection) -> None:
    """Set up a new pooled connection: JSON by msgspec."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=lambda v: msgspec.json.encode(v).decode(), decoder=msgspec.json.decode
        )


class Database:
    """The pools of one process. ``app`` sees one tenant at a time; ``ingest`` may only append events."""

    app: asyncpg.Pool
    ingest: asyncpg.Pool

    def __init__(self, app_url: str, ingest_url: str, *, pool_size: int = 10, hash_key: bytes = b"") -> None:
        self._urls = (app_url, ingest_url)
        self._pool_size = pool_size
        self._hash_key = hash_key

    async def start(self) -> None:
        """Connect both pools; nothing works before."""
        options: dict[str, Any] = {
            "init": _prepare,
            "timeout": ACQUIRE_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "max_inactive_connection_lifetime": 300.0,
        }
        self.app = await asyncpg.create_pool(self._urls[0], min_size=1, max_size=self._pool_size, **options)
        try:
            self.ingest = await asyncpg.create_pool(self._urls[1], min_size=1, max_size=4, **options)
        except BaseException:
            await self.app.close()
            raise

    @classmethod
    async def open(cls, app_url: str, ingest_url: str, *, pool_size: int = 10) -> Database:
        """A started database."""
        database = cls(app_url, ingest_url, pool_size=pool_size)
        await database.start()
        return database

    async def close(self) -> None:
        """Close both pools, cutting off what still runs after 5 s."""
        for pool in (self.ingest, self.app):
            try:
                async with _limit(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @contextlib.asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that sees ``tenant_id``'s rows only; commits at the end, rolls back on an exception.

        Inside a transaction of the same tenant it joins that one; inside one of another tenant it raises NoTenant.
        """
        current = ENGINE.current_transaction.get()
        if current is not None:
            if _bound.get() != tenant_id:
                raise NoTenant("a transaction of another tenant (or of the control plane) is open")
            yield current.connection
            return
        async with self._transaction(tenant_id) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def control(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction with no tenant bound: control-plane tables and the definer functions, no tenant's row."""
        current = ENGINE.current_transaction.get()
        if current is not None:
            if _bound.get() is not None:
                raise NoTenant("a tenant's transaction is open")
            yield current.connection
            return
        async with self._transaction(None) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self, tenant_id: UUID | None) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await self.app.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except (TimeoutError, OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
            raise Busy(retry_after_s=2) from error
        try:
            async with connection.transaction():
                if tenant_id is not None:
                    # SET LOCAL, not set_config(): it reaches the workers of a Citus cluster. The UUID type is the validation.
                    await connection.execute(f"set local app.tenant_id = '{UUID(str(tenant_id))}'")
                bound = _bound.set(tenant_id)
                hashed = _hash_key.set(self._hash_key)
                joined = ENGINE.current_transaction.set(_Transaction(ENGINE, connection))
                try:
                    yield connection
                finally:
                    ENGINE.current_transaction.reset(joined)
                    _hash_key.reset(hashed)
                    _bound.reset(bound)
        finally:
            await self.app.release(connection)


@contextlib.asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    import asyncio

    async with asyncio.timeout(seconds):
        yield
