"""What a site's cookieless mode and its links to other domains change about a submission, before it is stamped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from coursesignal.db.engine import Database
from coursesignal.jobs.outbox import enqueue
from coursesignal.security.keys import KeyRing
from coursesignal.tracking.cookieless import DailyVisitors
from coursesignal.tracking.intake import Sender, Site
from coursesignal.tracking.links import LinkSigner, hosts_pattern, take_out
from coursesignal.tracking.reasons import IgnoredLink
from coursesignal.tracking.schemas import CollectIn, EventIn
from coursesignal.tracking.urls import host_of

# An id that no event came with was made for this arrival: nothing is known of it.
_LINK = """
insert into visitor_links (tenant_id, from_visitor_id, to_visitor_id)
select $1, $2, $3 where exists (select from events where tenant_id = $1 and visitor_id = $2)
on conflict do nothing returning true
"""


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A submission as it is to be stamped, why its parameter was not believed, and what its sender is told besides."""

    submission: CollectIn
    events: Sequence[EventIn]
    sender: Sender
    ignored: IgnoredLink | None = None
    visitor_id: UUID | UnsetType = UNSET
    link: str | UnsetType = UNSET
    hosts: str | UnsetType = UNSET


class Modes:
    """One per process."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._daily = DailyVisitors(database)
        self._links = LinkSigner(keys)

    async def adjust(
        self, submission: CollectIn, events: Sequence[EventIn], site: Site, sender: Sender, address: str, now: datetime
    ) -> Adjusted:
        """Put the right visitor in: of a cookieless site the day's, of an arrival from a linked domain the one it says."""
        events, value = take_out(events)
        if site.cookieless:
            visitor_id = await self._daily.visitor_id(site.id, address, sender.user_agent, now)
            nameless = dataclasses.replace(sender, ip_hash=None)
            return Adjusted(msgspec.structs.replace(submission, visitor_id=visitor_id), events, nameless)
        adjusted = Adjusted(submission, events, sender)
        if value is not None:
            adjusted = await self._adopted(adjusted, self._links.read(value, site.tenant_id, now), site.tenant_id)
        return self._with_link(adjusted, site, now)

    async def _adopted(self, adjusted: Adjusted, carried: UUID | IgnoredLink, tenant_id: UUID) -> Adjusted:
        """With the carried visitor in place of the browser's own; that it was known by another id is written down."""
        if isinstance(carried, IgnoredLink):
            return dataclasses.replace(adjusted, ignored=carried)
        submission = adjusted.submission
        if submission.visitor_id != carried:
            async with self._database.tenant(tenant_id) as conn:
                if await conn.fetchval(_LINK, tenant_id, submission.visitor_id, carried):
                    await enqueue(conn, tenant_id, "core.join_browser", {"visitorId": str(carried)})
        submission = msgspec.structs.replace(submission, visitor_id=carried)
        return dataclasses.replace(adjusted, submission=submission, visitor_id=carried)

    def _with_link(self, adjusted: Adjusted, site: Site, now: datetime) -> Adjusted:
        """With what the page needs to send this visitor on to the site's other domains."""
        hosts = hosts_pattern(site.linked_hosts, host_of(adjusted.events[-1].url or ""))
        if not hosts:
            return adjusted
        link = self._links.sign(adjusted.submission.visitor_id, site.tenant_id, now)
        return dataclasses.replace(adjusted, link=link, hosts=hosts)
