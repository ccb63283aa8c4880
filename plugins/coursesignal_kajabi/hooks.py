"""The hooks at ``/v1/hooks`` that send every sales event to one address: exactly one per event, and none left behind."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from coursesignal.plugin import AuthFailed, Unavailable
from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.transport import Refusal, decoded

EVENTS = ("payment_succeeded", "purchase", "order_created")
PATH = "/v1/hooks"
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Registered:
    """The hooks that are in place, and those that should be gone but could not be removed yet."""

    hooks: Sequence[str]
    left: Sequence[str]


class _Created(msgspec.Struct, frozen=True):
    data: Resource


async def register(api: KajabiApi, site: str, url: str, remembered: Iterable[str] = ()) -> Registered:
    """Have every sales event of ``site`` sent to ``url``, or none of them when the key may not make all the hooks.

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
        return Registered((), await remove(api, {*made, *remembered, *(hook.key for hook in ours)}))
    except BaseException:
        await remove(api, made)
        raise
    needless = {*remembered, *(hook.key for hook in ours)} - {*kept.values()}
    return Registered([kept[event] for event in EVENTS], await remove(api, needless))


async def remove_all(api: KajabiApi, url: str, remembered: Iterable[str]) -> None:
    """Remove the hooks to ``url`` and those remembered. Raises Unavailable."""
    found = [hook.key async for hook in _listed(api, url)]
    if left := await remove(api, {*found, *remembered}):
        raise Unavailable(f"Kajabi did not remove the hooks {', '.join(left)}.")


async def remove(api: KajabiApi, hooks: Iterable[str]) -> Sequence[str]:
    """Remove these hooks; returns those that are still there. One that was gone before is no trouble."""
    left: list[str] = []
    for hook in sorted(hooks):
        try:
            await api.request("DELETE", f"{PATH}/{hook}")
        except Refusal as refusal:
            left += [hook] if refusal.status != 404 else []
        except (AuthFailed, Unavailable):
            left.append(hook)
    return left


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
