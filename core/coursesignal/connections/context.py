"""What a connector's calls are handed: the plugin's context, and one connection of one tenant."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from coursesignal.connections.house import House
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.vault import (
    StoredCredentialsUnreadable,
    open_credentials,
    open_webhook_key,
    webhook_url,
)
from coursesignal.plugin import AuthFailed, BaseContext, Connector, Settings, Tenant, TenantDb
from coursesignal.reports import Reports


@dataclass(frozen=True, slots=True)
class Place:
    """Which connection of which platform: the key of its webhook address, and what its connector remembers."""

    connector: Connector[Any]
    webhook_key: str
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlatformContext:
    """A :class:`coursesignal.plugin.ConnectionContext`."""

    base: BaseContext
    credentials: Any
    base_url: str
    webhook_url: str
    memo: Mapping[str, Any]

    @property
    def tenant(self) -> Tenant:
        return self.base.tenant

    @property
    def db(self) -> TenantDb:
        return self.base.db

    @property
    def http(self) -> httpx.AsyncClient:
        return self.base.http

    @property
    def outbound(self) -> httpx.AsyncClient:
        return self.base.outbound

    @property
    def log(self) -> logging.LoggerAdapter[Any]:
        return self.base.log

    @property
    def reports(self) -> Reports:
        return self.base.reports

    async def enqueue(
        self, job: str, /, *, run_at: datetime | None = None, key: str | None = None, **kwargs: Any
    ) -> None:
        await self.base.enqueue(job, run_at=run_at, key=key, **kwargs)

    async def send_email(self, template: str, to: str, /, *, key: str, **values: Any) -> None:
        await self.base.send_email(template, to, key=key, **values)


def platform_address(house: House, connector: Connector[Any]) -> str:
    """Where the platform is: the operator's override, or its own address; no slash at the end."""
    return house.settings.platform_urls.get(connector.slug, connector.api_url).rstrip("/")


def platform_context(house: House, tenant: Tenant, place: Place, credentials: Settings) -> PlatformContext:
    """The context of one connection's calls."""
    connector = place.connector
    base, address = house.contexts(tenant, connector.slug), platform_address(house, connector)
    base.http.base_url = address  # the context is this call's own: relative addresses mean the platform
    return PlatformContext(
        base=base,
        credentials=credentials,
        base_url=address,
        webhook_url=webhook_url(house.settings.base_url, connector.slug, place.webhook_key),
        memo=place.memo,
    )


def stored_context(house: House, tenant: Tenant, connector: Connector[Any], row: ConnectionRow) -> PlatformContext:
    """The context of a stored connection; raises AuthFailed without usable credentials."""
    if row.credentials is None:
        raise AuthFailed(f"{connector.name} was disconnected.")
    box = house.keys.box
    try:
        credentials = open_credentials(box, row.tenant_id, row.id, row.credentials, connector.credentials)
    except StoredCredentialsUnreadable as error:
        raise AuthFailed(f"The stored credentials do not fit {connector.name} any more. Connect again.") from error
    key = open_webhook_key(box, row.tenant_id, row.id, row.sealed_key)
    return platform_context(house, tenant, Place(connector, key, row.memo), credentials)
