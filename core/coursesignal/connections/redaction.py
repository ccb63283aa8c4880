"""What is taken out of a stored webhook before anybody looks at it: this connection's secrets, and whatever calls itself one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.connections.forms import form_schema
from coursesignal.connections.vault import StoredCredentialsUnreadable, open_credentials, open_webhook_key
from coursesignal.plugin import Connector
from coursesignal.security.box import Box

REDACTED = "[redacted]"
SHORTEST_SECRET = 6
"""Shorter values would be found everywhere."""
_NAME = r"[\w\-\[\]]*(?:secret|token|password|passwd|api_?key|authorization|signature)[\w\-\[\]]*"
_IN_JSON = re.compile(rf'("{_NAME}"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_IN_FORM = re.compile(rf"((?:^|&){_NAME}=)[^&\s]*", re.IGNORECASE)


def redacted_text(text: str, secrets: Collection[str]) -> str:
    """``text`` without the ``secrets`` and without values under names such as ``api_key``. Pure."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _IN_FORM.sub(rf"\1{REDACTED}", _IN_JSON.sub(rf'\1"{REDACTED}"', text))


def secrets_of(box: Box, connector: Connector[Any] | None, tenant_id: UUID, row: Mapping[str, Any]) -> set[str]:
    """The secrets of a stored connection, among them the key of its webhook address."""
    found = {open_webhook_key(box, tenant_id, row["id"], row["sealed_key"])}
    if connector is None or row["credentials"] is None:
        return found
    try:
        credentials = open_credentials(box, tenant_id, row["id"], row["credentials"], connector.credentials)
    except StoredCredentialsUnreadable:
        return found
    properties = form_schema(connector.credentials).get("properties", {})
    names = {name for name, spec in properties.items() if spec.get("x-secret")}
    values = msgspec.to_builtins(credentials)
    return found | {str(values[name]) for name in names if len(str(values.get(name) or "")) >= SHORTEST_SECRET}
