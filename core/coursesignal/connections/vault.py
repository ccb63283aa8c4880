"""A connection's secrets: its credentials and the key in its webhook address, sealed to their row."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from coursesignal.plugin import Settings
from coursesignal.security.box import Box, CannotOpen, aad
from coursesignal.security.tokens import hash_token, new_token


class StoredCredentialsUnreadable(Exception):
    """What was stored cannot be opened, or does not fit the installed connector any more."""


def seal_credentials(box: Box, tenant_id: UUID, connection_id: UUID, credentials: Settings) -> bytes:
    """``credentials`` for the column ``connections.credentials`` of this row only."""
    return box.seal(msgspec.json.encode(credentials), aad(tenant_id, "connections", "credentials", connection_id))


def open_credentials(box: Box, tenant_id: UUID, connection_id: UUID, sealed: bytes, cls: type[Settings]) -> Any:
    """The credentials as ``cls``; raises StoredCredentialsUnreadable."""
    try:
        plain = box.open(sealed, aad(tenant_id, "connections", "credentials", connection_id))
        return msgspec.json.decode(plain, type=cls)
    except (CannotOpen, msgspec.ValidationError) as error:
        raise StoredCredentialsUnreadable(str(error)) from error


class WebhookKey(msgspec.Struct, frozen=True):
    """The unguessable part of a webhook address; looked up by its hash, shown again from the sealed copy."""

    plain: str
    hash: bytes
    sealed: bytes


def new_webhook_key(box: Box, tenant_id: UUID, connection_id: UUID) -> WebhookKey:
    """A fresh key of at least 128 random bits."""
    plain = new_token()
    sealed = box.seal(plain.encode(), aad(tenant_id, "connections", "sealed_key", connection_id))
    return WebhookKey(plain, hash_token(plain), sealed)


def open_webhook_key(box: Box, tenant_id: UUID, connection_id: UUID, sealed: bytes) -> str:
    """The key in the clear."""
    return box.open(sealed, aad(tenant_id, "connections", "sealed_key", connection_id)).decode()


def webhook_url(base_url: str, platform: str, key: str) -> str:
    """Where the platform sends a connection's webhooks."""
    return f"{base_url}/api/webhooks/{platform}/{key}"
