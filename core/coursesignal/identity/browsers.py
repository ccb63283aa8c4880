"""Browsers that are known by several ids: a signed parameter of a link carried one of them from domain to domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg

from coursesignal.groups import Groups

CARRIED = "cross-domain parameter"
"""The evidence for a visitor that is known by another id of its browser."""
CHECKOUT = "carried to checkout"
"""The evidence for a visitor whose id came back with a purchase; a link with the id in it may have been passed on to others."""
SECOND_HAND = (CARRIED, CHECKOUT)
"""Evidence that gives way to an address that was given under the visitor's own id, whenever that was."""

_LINKS = """
    select from_visitor_id, to_visitor_id from visitor_links where tenant_id = $1 and from_visitor_id = any($2)
    union
    select from_visitor_id, to_visitor_id from visitor_links where tenant_id = $1 and to_visitor_id = any($2)"""


async def ids_of_browsers(
    conn: asyncpg.Connection, tenant_id: UUID, visitors: Collection[UUID]
) -> Mapping[UUID, Sequence[UUID]]:
    """All ids of the browser of each of ``visitors``, its own among them."""
    browsers = Groups[UUID]()
    for visitor in visitors:
        browsers.of(visitor)
    known, new = set(visitors), list(visitors)
    while new:
        links = [tuple(row) for row in await conn.fetch(_LINKS, tenant_id, new)]
        for link in links:
            browsers.unite(link)
        new = sorted({visitor for link in links for visitor in link} - known)
        known.update(new)
    members = browsers.members()
    return {visitor: members[browsers.of(visitor)] for visitor in visitors}
