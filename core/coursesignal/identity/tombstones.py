"""Tombstones: what an erased person was known by, as keyed hashes. Whoever takes in who is who asks here first.

A tombstone says nothing about whom it is of without the installation's keys, and differs from tenant to tenant.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote
from uuid import UUID

import asyncpg

from coursesignal.db.engine import hash_key
from coursesignal.identity.emails import email_key
from coursesignal.identity.sightings import Identified, Identifier, Sighting

PSEUDONYM = "erased-"
"""What stands for an erased address begins with this."""
EMAIL_LIKE = re.compile(r"[^\s@<>()\[\]{},;:\"'\\/?&=|`]{1,64}@[^\s@<>()\[\]{},;:\"'\\/?&=|`]{1,253}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def hash_of(tenant_id: UUID, kind: str, value: str) -> bytes:
    """The tombstone of one identifier; only inside a transaction, which knows the installation's key."""
    return hmac.digest(hash_key(), f"{tenant_id}|{kind}|{value}".encode(), hashlib.sha256)


async def erased_among(
    conn: asyncpg.Connection, tenant_id: UUID, identifiers: Collection[Identifier]
) -> frozenset[Identifier]:
    """Those of ``identifiers`` that belong to somebody whose data was erased."""
    hashes = {hash_of(tenant_id, kind, value): (kind, value) for kind, value in identifiers}
    if not hashes:
        return frozenset()
    rows = await conn.fetch(
        "select key_hash from erased_keys where tenant_id = $1 and key_hash = any($2)", tenant_id, list(hashes)
    )
    return frozenset(hashes[row["key_hash"]] for row in rows)


async def without_erased(
    conn: asyncpg.Connection, tenant_id: UUID, sightings: Sequence[Sighting]
) -> Sequence[Sighting]:
    """The same sightings; one of somebody erased names nobody any more."""
    erased = await erased_among(conn, tenant_id, {one for sighting in sightings for one in sighting.identifiers})
    if not erased:
        return sightings
    return [
        replace(one, email=None, contact_id=None, name=None) if erased.intersection(one.identifiers) else one
        for one in sightings
    ]


async def still_known(
    conn: asyncpg.Connection, tenant_id: UUID, identified: Sequence[Identified]
) -> Sequence[Identified]:
    """Those identifications that name an address nobody had erased."""
    keyed = [(one, key) for one in identified if (key := email_key(one.email)) is not None]
    erased = await erased_among(conn, tenant_id, {("email", key) for _, key in keyed})
    return [one for one, key in keyed if ("email", key) not in erased]


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Every tombstone of a tenant, to hold texts against; made inside a transaction and good after it."""

    tenant_id: UUID
    hashes: frozenset[bytes]
    key: bytes

    @classmethod
    def of_known(cls, tenant_id: UUID, known: Collection[tuple[str, str]]) -> Tombstones:
        """As if these identifiers alone, of kind and value, had been erased: to find what names them."""
        return cls(tenant_id, frozenset(hash_of(tenant_id, kind, value) for kind, value in known), hash_key())

    def hold(self, kind: str, value: str) -> bool:
        """Whether this identifier belongs to somebody erased."""
        return self._hash(kind, value) in self.hashes

    def address(self, text: str | None) -> bool:
        """Whether ``text`` is an erased address, in any spelling."""
        key = email_key(text)
        return key is not None and self.hold("email", key)

    def named_in(self, text: str) -> bool:
        """Whether an erased address is somewhere in ``text``: plain, percent-encoded or escaped as JSON does."""
        return any(self.address(found) for spelling in _spellings(text) for found in _addresses(spelling))

    def redact(self, text: str) -> str:
        """``text`` with a pseudonym for each erased address."""
        for spelling in _spellings(text):
            if any(self.address(found) for found in _addresses(spelling)):
                text = EMAIL_LIKE.sub(lambda match: self._pseudonym(match[0]), spelling)
        return text

    def _pseudonym(self, found: str) -> str:
        for address in (found, found.strip(".")):
            if self.address(address):
                return f"{PSEUDONYM}{self._hash('email', email_key(address) or '').hex()[:12]}"
        return found

    def _hash(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{self.tenant_id}|{kind}|{value}".encode(), hashlib.sha256)


async def of_tenant(conn: asyncpg.Connection, tenant_id: UUID) -> Tombstones:
    """All of the tenant's."""
    rows = await conn.fetch("select key_hash from erased_keys where tenant_id = $1", tenant_id)
    return Tombstones(tenant_id, frozenset(row["key_hash"] for row in rows), hash_key())


def _addresses(text: str) -> Iterable[str]:
    for match in EMAIL_LIKE.finditer(text):
        yield match[0]
        yield match[0].strip(".")


def _spellings(text: str) -> Iterable[str]:
    """``text`` as it is, without JSON's escapes, and without percent-encoding, as far as these differ."""
    seen = {text}
    yield text
    for other in (_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text), unquote(text)):
        if other not in seen:
            seen.add(other)
            yield other
