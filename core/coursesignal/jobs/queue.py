"""The queue that carries slips to workers: SAQ on PostgreSQL, or on Redis.

It may lose or repeat a slip at any time: the record is the outbox. Its PostgreSQL tables are made by our migration, owned by
the owner role like every other table, and unlogged; the application's role may only change rows. They hold ids and tokens.
"""

from __future__ import annotations

from uuid import UUID

from saq import Job, Queue
from saq.queue.postgres import PostgresQueue
from saq.queue.redis import RedisQueue

from coursesignal.jobs.leases import Slip
from coursesignal.settings import Settings

NAME = "coursesignal"
FUNCTION = "run_task"
CARRIES = 5
"""How often SAQ offers a slip again when its worker died before starting it."""
SCHEMA_VERSION = 3
"""Of SAQ's tables, as our migration makes them; a test compares it with the installed SAQ."""


def open_queue(settings: Settings, app_url: str, *, connections: int = 6, name: str = NAME) -> Queue:
    """The queue of this installation, not yet connected."""
    if settings.queue_url is not None:
        return RedisQueue.from_url(settings.queue_url, name=name)
    return _Queue(url=app_url, name=name, min_size=1, max_size=connections)


async def connect(queue: Queue) -> None:
    """Make the queue usable."""
    await queue.connect()
    if isinstance(queue, RedisQueue):
        await queue.sweep(abort=0.1)  # with a cold script cache, one beside running jobs takes them for stuck


async def put(queue: Queue, slip: Slip, *, lease_s: float, timeout_s: float) -> None:
    """Offer a slip to whichever worker is free."""
    job = Job(
        function=FUNCTION,
        kwargs={"tenant_id": str(slip.tenant_id), "id": str(slip.id), "lease_token": str(slip.lease_token)},
        key=str(slip.lease_token),
        timeout=int(timeout_s) + 60,
        heartbeat=max(2, int(lease_s)),
        retries=CARRIES,
        retry_delay=1.0,
        retry_backoff=True,
        ttl=-1,
    )
    await queue.enqueue(job)


def slip_of(tenant_id: str, id: str, lease_token: str) -> Slip:
    """The slip that :func:`put` wrote down."""
    return Slip(UUID(tenant_id), UUID(id), UUID(lease_token))


class _Queue(PostgresQueue):
    """SAQ's queue on tables that are there already."""

    async def init_db(self) -> None:
        return None

    async def _enqueue(self, job: Job) -> Job | None:
        job.scheduled = job.scheduled or 1  # due whatever this machine's clock says
        return await super()._enqueue(job)
