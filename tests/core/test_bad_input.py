"""Every route of the application's own OpenAPI description, with input nobody should send: a clear 4xx, never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker

TEXTS = (
    "",
    "\x00",
    "%00",
    "../../etc/passwd",
    "'; drop table purchases; --",
    "‮evil",
    "9" * 400,
    "<script>",
    "é" * 300,
    "NaN",
    "-1",
)
BODIES: tuple[bytes, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    json.dumps({"slug": "\x00", "name": "\x00", "email": "\x00", "password": "\x00" * 20}).encode(),
    json.dumps({"slug": 2**70, "name": [], "email": {}, "settings": 1, "enabled": "yes", "currency": "€€€"}).encode(),
)


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture(scope="module")
async def operations(client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of everything that is documented."""
    schema = (await client.get("/api/schema/openapi.json")).json()
    found = [
        (method.upper(), path, what) for path, methods in schema["paths"].items() for method, what in methods.items()
    ]
    assert len(found) > 60
    return found


def _paths(path: str, what: dict[str, Any]) -> Iterator[str]:
    """The path with each hostile text in the place of every parameter."""
    names = [parameter["name"] for parameter in what.get("parameters", []) if parameter["in"] == "path"]
    for text in TEXTS if names else ("",):
        filled = path
        for name in names:
            filled = filled.replace("{" + name + "}", quote(text or "-", safe="/"))
        yield filled


def _queries(what: dict[str, Any]) -> Iterator[dict[str, str]]:
    for parameter in what.get("parameters", []):
        if parameter["in"] == "query":
            for text in TEXTS:
                yield {parameter["name"]: text}


async def _ask(client: httpx.AsyncClient, tenant: ActingTenant, method: str, url: str, **more: Any) -> str | None:
    headers = {**tenant.headers, **more.pop("headers", {})}
    answer = await client.request(method, url, headers=headers, **more)
    if answer.status_code >= 500:
        return f"{method} {url} {more} → {answer.status_code} {answer.text[:200]}"
    if answer.status_code >= 400 and not answer.headers["content-type"].startswith(
        ("application/problem+json", "text/html")
    ):
        return f"{method} {url} {more} → {answer.status_code} of type {answer.headers['content-type']}"
    return None


async def test_hostile_paths_and_queries_are_refused_or_answered(
    client: httpx.AsyncClient, tenant: ActingTenant, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    faults = []
    for method, path, what in operations:
        if "logout" in path:
            continue
        for url in _paths(path, what):
            faults.append(await _ask(client, tenant, method, url))
        plain = next(iter(_paths(path, what)))
        for query in _queries(what):
            faults.append(await _ask(client, tenant, method, plain, params=query))
    assert not any(faults), "\n".join(fault for fault in faults if fault)


async def test_hostile_bodies_are_refused_or_answered(
    client: httpx.AsyncClient, tenant: ActingTenant, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    faults = []
    for method, path, what in operations:
        if method not in {"POST", "PUT", "PATCH", "DELETE"} or "logout" in path:
            continue
        url = path.replace("{tenant_slug}", tenant.tenant.slug)
        for name in [parameter["name"] for parameter in what.get("parameters", []) if parameter["in"] == "path"]:
            url = url.replace("{" + name + "}", "teachable")
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"):
            for body in BODIES:
                faults.append(await _ask(client, tenant, method, url, content=body, headers={"content-type": kind}))
    assert not any(faults), "\n".join(fault for fault in faults if fault)
