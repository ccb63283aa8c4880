"""Every hook a plugin may implement: one function, one contract. The same text is told at length in ``docs/hooks.md``.

Registration hooks run once, when the installation starts. They are synchronous and pure and return a sequence of declarations.
Event hooks run in a worker after the fact has committed, at least once, in no fixed order. Lifecycle hooks run when a tenant's
relation to the plugin changes. An implementation may leave out arguments it does not need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import pluggy

from coursesignal.events import (
    AttributionComputed,
    ConnectionLost,
    ConnectionOpened,
    PeopleMerged,
    PurchaseRecorded,
    PurchaseRefunded,
    RecommendationRaised,
    SyncCompleted,
    TenantArchived,
    TenantCreated,
    TouchesRecorded,
    VisitorIdentified,
)
from coursesignal.plugin import (
    PROJECT,
    AttributionModel,
    ChannelRule,
    Command,
    Connector,
    Context,
    Cron,
    EmailTemplate,
    Exporter,
    Job,
    NavItem,
    Panel,
    Permission,
    RecommendationRule,
    Routes,
    Settings,
)

hookspec = pluggy.HookspecMarker(PROJECT)

# -- registration ------------------------------------------------------------------------------------------------------


@hookspec
def register_settings() -> type[Settings]:  # type: ignore[empty-body]
    """Return the class of the per-tenant settings."""


@hookspec
def register_routes() -> Sequence[Routes]:  # type: ignore[empty-body]
    """Return handlers to mount under /api/<slug>, /app/{tenant}/<slug> or /api/public/<slug>."""


@hookspec
def register_models() -> Sequence[type[Any]]:  # type: ignore[empty-body]
    """Return the Piccolo ``Table`` classes of the plugin's tenant tables, each named ``<slug>_…``."""


@hookspec
def register_jobs() -> Sequence[Job]:  # type: ignore[empty-body]
    """Return work for the queue."""


@hookspec
def register_crons() -> Sequence[Cron]:  # type: ignore[empty-body]
    """Return schedules of the plugin's own jobs."""


@hookspec
def register_connectors() -> Sequence[Connector[Any]]:  # type: ignore[empty-body]
    """Return the platform this plugin connects: at most one connector, with the plugin's slug."""


@hookspec
def register_attribution_models() -> Sequence[AttributionModel]:  # type: ignore[empty-body]
    """Return attribution models, fitted ones too."""


@hookspec
def register_recommendation_rules() -> Sequence[RecommendationRule]:  # type: ignore[empty-body]
    """Return rules that advise."""


@hookspec
def register_nav_items() -> Sequence[NavItem]:  # type: ignore[empty-body]
    """Return entries of the dashboard menu."""


@hookspec
def register_panels() -> Sequence[Panel]:  # type: ignore[empty-body]
    """Return pieces of dashboard pages."""


@hookspec
def register_email_templates() -> Sequence[EmailTemplate]:  # type: ignore[empty-body]
    """Return the mails the plugin sends."""


@hookspec
def register_exporters() -> Sequence[Exporter]:  # type: ignore[empty-body]
    """Return file formats for exports."""


@hookspec
def register_permissions() -> Sequence[Permission]:  # type: ignore[empty-body]
    """Return scopes for API keys beyond ``<slug>:read`` and ``<slug>:write``, which every plugin has."""


@hookspec
def register_channel_rules() -> Sequence[ChannelRule]:  # type: ignore[empty-body]
    """Return rules that put touches into channels before core's own rules do."""


@hookspec
def register_commands() -> Sequence[Command]:  # type: ignore[empty-body]
    """Return commands of ``coursesignal <slug>``."""


# -- events ------------------------------------------------------------------------------------------------------------


@hookspec
def tenant_created(ctx: Context[Any], event: TenantCreated) -> Awaitable[None] | None:
    """React to a new tenant; runs for plugins that are on for it from the start."""


@hookspec
def tenant_archived(ctx: Context[Any], event: TenantArchived) -> Awaitable[None] | None:
    """React to a tenant that takes in nothing any more."""


@hookspec
def visitor_identified(ctx: Context[Any], event: VisitorIdentified) -> Awaitable[None] | None:
    """React to a visitor who became a known person."""


@hookspec
def people_merged(ctx: Context[Any], event: PeopleMerged) -> Awaitable[None] | None:
    """Move what the plugin keeps about one person to the other."""


@hookspec
def touches_recorded(ctx: Context[Any], event: TouchesRecorded) -> Awaitable[None] | None:
    """React to a batch of touches."""


@hookspec
def purchase_recorded(ctx: Context[Any], event: PurchaseRecorded) -> Awaitable[None] | None:
    """React to a purchase that got its first money."""


@hookspec
def purchase_refunded(ctx: Context[Any], event: PurchaseRefunded) -> Awaitable[None] | None:
    """React to money that went back."""


@hookspec
def attribution_computed(ctx: Context[Any], event: AttributionComputed) -> Awaitable[None] | None:
    """React to credits that were written, for the first time or again."""


@hookspec
def recommendation_raised(ctx: Context[Any], event: RecommendationRaised) -> Awaitable[None] | None:
    """React to new advice."""


@hookspec
def connection_opened(ctx: Context[Any], event: ConnectionOpened) -> Awaitable[None] | None:
    """React to a platform that was connected."""


@hookspec
def connection_lost(ctx: Context[Any], event: ConnectionLost) -> Awaitable[None] | None:
    """React to a platform that refuses us or was disconnected."""


@hookspec
def sync_completed(ctx: Context[Any], event: SyncCompleted) -> Awaitable[None] | None:
    """React to a sync that ended well."""


# -- lifecycle ---------------------------------------------------------------------------------------------------------


@hookspec
def plugin_enabled(ctx: Context[Any]) -> Awaitable[None] | None:
    """Run after a tenant turned the plugin on; safe to run again."""


@hookspec
def plugin_disabled(ctx: Context[Any]) -> Awaitable[None] | None:
    """Run after a tenant turned the plugin off; keep the data, it may come back. Safe to run again."""


@hookspec
def settings_changed(ctx: Context[Any], changed: Sequence[str]) -> Awaitable[None] | None:
    """Run after settings were saved; ``changed`` names the fields, ``ctx.settings`` has the values of now."""


@hookspec
def migrate_settings(settings: Mapping[str, Any], from_version: int) -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return stored settings of an older ``settings_version`` in today's form, secrets included. Synchronous and pure."""


@hookspec
def purge_tenant(ctx: Context[Any]) -> Awaitable[None] | None:
    """Erase what the plugin keeps about the tenant outside its registered tables, which core empties. Safe to run again."""


REGISTRATION = tuple(name for name in dict(globals()) if name.startswith("register_"))
"""Names of the registration hooks, in the order in which they are called."""

LIFECYCLE = ("plugin_enabled", "plugin_disabled", "settings_changed", "migrate_settings", "purge_tenant")
"""Names of the lifecycle hooks."""
