"""Shops to measure with, one on each platform: what its owner enters to connect, and what is left to do there by hand."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from coursesignal.benchmark.place import add_tenant
from coursesignal.runtime import Runtime
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.settings import Settings
from coursesignal.testing.platforms import FakeKajabi, FakePlatform, FakeStripe, FakeTeachable

SCOPES = ["analytics:read", "connections:read", "connections:write"]
DAYS = 28
"""How far back sales are spread: a first sync reaches thirty."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant and the platform it sells on."""

    tenant_id: UUID
    api_key: str
    platform: FakePlatform

    @property
    def slug(self) -> str:
        return self.platform.slug

    @property
    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}


MAKERS: Mapping[str, Callable[[], FakePlatform]] = {
    "kajabi": FakeKajabi,
    "teachable": FakeTeachable,
    "stripe": FakeStripe,
}


def credentials(platform: FakePlatform) -> dict[str, str]:
    """What its owner enters."""
    match platform:
        case FakeKajabi():
            return {"clientId": platform.client_id, "clientSecret": platform.client_secret}
        case FakeStripe() if platform.webhook_urls:
            return {"apiKey": platform.api_key, "signingSecret": platform.signing_secrets[0]}
        case FakeStripe() | FakeTeachable():
            return {"apiKey": platform.api_key}
    raise ValueError(f"nobody knows what {platform.slug} asks for")


@contextlib.contextmanager
def platforms_up(slugs: Sequence[str]) -> Iterator[Mapping[str, FakePlatform]]:
    """The platforms of those names, answering."""
    with contextlib.ExitStack() as stack:
        found = {slug: MAKERS[slug]().start() for slug in slugs}
        for platform in found.values():
            stack.callback(platform.stop)
        yield found


@contextlib.contextmanager
def opened(settings: Settings, slugs: Sequence[str]) -> Iterator[tuple[Settings, Sequence[Shop]]]:
    """A shop on each platform, and settings with which connections reach them."""
    with platforms_up(slugs) as platforms:
        settings = msgspec.structs.replace(settings, platform_urls={slug: one.url for slug, one in platforms.items()})
        yield settings, [shop_on(settings, platform) for platform in platforms.values()]


def shop_on(settings: Settings, platform: FakePlatform) -> Shop:
    """A tenant that is going to connect ``platform``."""
    return asyncio.run(_tenant(settings, platform))


async def _tenant(settings: Settings, platform: FakePlatform) -> Shop:
    key = new_token("csk_")
    async with Runtime.opened(settings) as runtime:
        tenant = await add_tenant(runtime, f"{platform.slug}-{secrets.token_hex(4)}")
        async with runtime.database.tenant(tenant.id) as conn:
            await conn.execute(
                "insert into api_keys (tenant_id, name, scopes, key_hash, prefix) values ($1, 'Connections', $2, $3, $4)",
                tenant.id, SCOPES, hash_token(key), key[:8],
            )  # fmt: skip
    return Shop(tenant.id, key, platform)


async def connect(http: httpx.AsyncClient, shop: Shop) -> str:
    """Connect as a person would, with the webhook address pasted where the platform wants it so; returns the address."""
    answer = await _connected(http, shop)
    if answer["webhooks"] == "manual" and not shop.platform.webhook_urls:
        shop.platform.webhook_urls = [answer["webhookUrl"]]
        if isinstance(shop.platform, FakeStripe):  # only now is there a signing secret to enter
            await _connected(http, shop)
    return str(answer["webhookUrl"])


async def _connected(http: httpx.AsyncClient, shop: Shop) -> dict[str, Any]:
    path = f"/api/{shop.slug}/connect"
    answer = await http.post(path, json=credentials(shop.platform), headers=shop.headers)
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def sell(platform: FakePlatform, count: int, first: int = 0) -> None:
    """Sell to ``count`` different people, spread over the last weeks."""
    now, minutes = datetime.now(UTC), DAYS * 24 * 60
    for number in range(first, first + count):
        at = now - timedelta(minutes=5 + number * minutes / max(count, 1) % minutes)
        platform.sell(f"buyer{number}@example.com", 1_000 + number % 900, at=at)
