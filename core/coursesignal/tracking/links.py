"""The visitor parameter that a link to another domain of the business carries: who follows it, signed, and good for two hours.

Scripts cannot keep a secret, so the server signs: the answer to a page's events brings the parameter for the links on it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import struct
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from coursesignal.security.keys import KeyRing
from coursesignal.tracking.reasons import IgnoredLink
from coursesignal.tracking.schemas import EventIn
from coursesignal.tracking.urls import same_site

PARAMETER = "cs_link"
MARK = f"{PARAMETER}=".encode()
"""Bodies without it have no parameter to read."""
TTL = timedelta(hours=2)
_SKEW = timedelta(minutes=5)
_TAG_BYTES = 8
_SIGNED = struct.Struct(f">16sI{_TAG_BYTES}s")
_SIGNATURE_BYTES = 16
_IN_ADDRESS = re.compile(rf"(?<=[?&]){PARAMETER}=([^&#]*)&?")
_DANGLING = re.compile(r"[?&](?=#|$)")


class LinkSigner:
    """Writes and reads the parameter with the installation's keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def sign(self, visitor_id: UUID, tenant_id: UUID, now: datetime) -> str:
        """The parameter's value for a visitor who may follow a link from now on."""
        signed = _SIGNED.pack(visitor_id.bytes, int(now.timestamp()), self._tag(tenant_id))
        return base64.urlsafe_b64encode(signed + self._signature(signed)).decode().rstrip("=")

    def read(self, value: str, tenant_id: UUID, now: datetime) -> UUID | IgnoredLink:
        """Who followed the link, or why the parameter is not believed."""
        try:
            raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return IgnoredLink.FORGED
        signed, signature = raw[: _SIGNED.size], raw[_SIGNED.size :]
        if len(signed) != _SIGNED.size or not hmac.compare_digest(signature, self._signature(signed)):
            return IgnoredLink.FORGED
        visitor, signed_at_s, tag = _SIGNED.unpack(signed)
        if tag != self._tag(tenant_id):
            return IgnoredLink.FOREIGN
        if not -_SKEW <= now - datetime.fromtimestamp(signed_at_s, now.tzinfo) <= TTL:
            return IgnoredLink.EXPIRED
        return UUID(bytes=visitor)

    def _signature(self, signed: bytes) -> bytes:
        return self._keys.sign("visitor link", signed)[:_SIGNATURE_BYTES]

    def _tag(self, tenant_id: UUID) -> bytes:
        """Whose link it is, without saying so to anybody else."""
        return self._keys.sign("tenant of a visitor link", tenant_id.bytes)[:_TAG_BYTES]


def take_out(events: Sequence[EventIn]) -> tuple[Sequence[EventIn], str | None]:
    """The events with the parameter removed from their addresses, and its value where the visitor arrived with one."""
    value: str | None = None
    cleaned = []
    for event in events:
        arrived = _IN_ADDRESS.search(event.url or "")
        if arrived is not None and value is None:
            value = arrived[1]
        cleaned.append(msgspec.structs.replace(event, url=without(event.url), referrer=without(event.referrer)))
    return cleaned, value


def without(address: str | None) -> str | None:
    """The address without the parameter, otherwise as it was, byte for byte."""
    if not address or not _IN_ADDRESS.search(address):
        return address
    return _DANGLING.sub("", _IN_ADDRESS.sub("", address), count=1)


def hosts_pattern(linked_hosts: Collection[str], page_host: str) -> str:
    """A regular expression for the hosts whose links carry the parameter; empty when there are none.

    The page's own domain is not among them: it shares the visitor by its cookie.
    """
    others = [host.replace(".", r"\.") for host in linked_hosts if not same_site(host, page_host)]
    return rf"(^|\.)({'|'.join(others)})$" if others else ""
