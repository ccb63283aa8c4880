"""Contexts for tests that call a plugin's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coursesignal.plugin import Context
    from coursesignal.runtime import Runtime
    from coursesignal.testing.fixtures import ActingTenant


async def plugin_context(installation: Runtime, tenant: ActingTenant, slug: str) -> Context[Any]:
    """The context that plugin ``slug`` is handed for ``tenant``, which must have it on."""
    from coursesignal.plugins.context import open_context

    return await open_context(installation, tenant.id, slug)
