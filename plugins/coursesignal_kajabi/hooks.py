"""The hooks at ``/v1/hooks`` that send every sales event to one address: exactly one per event, and none left behind."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from coursesignal.plugin import AuthFailed, Unavailable
from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.transport import Refusal, decoded

EVENTS = ("payment_succeeded", "purchase", "order_created")
PATH = "/v1/hooks"
PAGE_SIZE = 50


class _Created(msgspec.Struct, frozen=True):
    data: Resource


async def register(api: KajabiApi, site: str, url: str, remembered: Iterable[str] = ()) -> Sequence[str]:
    """Ids of the hooks that send every sales event of ``site`` to ``url``; none when the key may not make them all.

    Missing ones are made; doubles, those for other events, and those remembered from an address before are removed. Where one
    cannot be made, those that could are removed again. Raises Unavailable.
    """
    ours = [hook async for hook in _listed(api, url)]
    kept = _one_per_event(ours, site)
    made: list[str] = []
    try:
        for event in EVENTS:
            if event not in kept:
                kept[event] = await _create(api, site, url, event)
                made.append(kept[event])
    except (Refusal, AuthFailed):
        await remove(api, {*made, *(hook.key for hook in ours)})
        return []
    except BaseException:
        with contextlib.suppress(Unavailable):
            await remove(api, made)
        raise
    await remove(api, {*remembered, *(hook.key for hook in ours)} - {*kept.values()})
    return [kept[event] for event in EVENTS]


async def remove_all(api: KajabiApi, url: str, remembered: Iterable[str]) -> None:
    """Remove the hooks to ``url`` and those remembered. Raises Unavailable."""
    found = [hook.key async for hook in _listed(api, url)]
    await remove(api, {*found, *remembered})


async def remove(api: KajabiApi, hooks: Iterable[str]) -> None:
    """Remove these hooks; one that is gone, or that the key may not remove, is no trouble. Raises Unavailable."""
    for hook in sorted(hooks):
        with contextlib.suppress(Refusal, AuthFailed):
            await api.request("DELETE", f"{PATH}/{hook}")


async def _listed(api: KajabiApi, url: str) -> AsyncIterator[Resource]:
    """The hooks to ``url``; none when the key may not look."""
    with contextlib.suppress(AuthFailed):
        async for hook in api.rows(PATH, {}, PAGE_SIZE):
            if hook.attributes.get("target_url") == url:
                yield hook


def _one_per_event(hooks: Sequence[Resource], site: str) -> dict[str, str]:
    """The hook to keep for each event: of this site, or of an unnamed one, and not bound to one resource."""
    kept: dict[str, str] = {}
    for hook in hooks:
        event = str(hook.attributes.get("event"))
        fits = hook.related("site") in ((), (site,)) and hook.attributes.get("resource_id") is None
        if event in EVENTS and fits:
            kept.setdefault(event, hook.key)
    return kept


async def _create(api: KajabiApi, site: str, url: str, event: str) -> str:
    relationships = {"site": {"data": {"id": site, "type": "sites"}}}
    hook = {"type": "hooks", "attributes": {"target_url": url, "event": event}, "relationships": relationships}
    body = await api.request("POST", PATH, content=msgspec.json.encode({"data": hook}))
    return decoded(body, _Created).data.key
