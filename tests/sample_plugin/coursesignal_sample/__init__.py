"""Keeps a note of everything that happens. A table of contents: each hook says what the plugin adds, other modules do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    hookimpl,
)
from coursesignal_sample import commands, jobs, mail, routes
from coursesignal_sample.channels import PODCASTS
from coursesignal_sample.connector import SampleConnector
from coursesignal_sample.exporter import JsonLines
from coursesignal_sample.models import Learned, Middle
from coursesignal_sample.notes import note, remember
from coursesignal_sample.panels import LATEST_NOTES
from coursesignal_sample.rules import QuietMonth
from coursesignal_sample.settings import SampleSettings, from_version_1
from coursesignal_sample.tables import SampleNotes

Ctx = Context[SampleSettings]

# -- what it adds ------------------------------------------------------------------------------------------------------


@hookimpl
def register_settings() -> type[Settings]:
    return SampleSettings


@hookimpl
def register_routes() -> Sequence[Routes]:
    return routes.ROUTES


@hookimpl
def register_models() -> Sequence[type[Any]]:
    return [SampleNotes]


@hookimpl
def register_jobs() -> Sequence[Job]:
    return jobs.JOBS


@hookimpl
def register_crons() -> Sequence[Cron]:
    return [Cron(name="nightly", schedule="15 3 * * *", job="count")]


@hookimpl
def register_connectors() -> Sequence[Connector[Any]]:
    return [SampleConnector()]


@hookimpl
def register_attribution_models() -> Sequence[AttributionModel]:
    return [Middle(), Learned()]


@hookimpl
def register_recommendation_rules() -> Sequence[RecommendationRule]:
    return [QuietMonth()]


@hookimpl
def register_nav_items() -> Sequence[NavItem]:
    return [NavItem(label="Notes", path="notes", icon="notebook", weight=500)]


@hookimpl
def register_panels() -> Sequence[Panel]:
    return [LATEST_NOTES]


@hookimpl
def register_email_templates() -> Sequence[EmailTemplate]:
    return [mail.GREETING]


@hookimpl
def register_exporters() -> Sequence[Exporter]:
    return [JsonLines()]


@hookimpl
def register_permissions() -> Sequence[Permission]:
    return [Permission(slug="notes", label="Read and write notes")]


@hookimpl
def register_channel_rules() -> Sequence[ChannelRule]:
    return [PODCASTS]


@hookimpl
def register_commands() -> Sequence[Command]:
    return [Command(name="notes", function=commands.notes), Command(name="add", function=commands.add)]


# -- what it reacts to -------------------------------------------------------------------------------------------------


@hookimpl
async def tenant_created(ctx: Ctx, event: TenantCreated) -> None:
    await remember(ctx, event)


@hookimpl
async def tenant_archived(ctx: Ctx, event: TenantArchived) -> None:
    await remember(ctx, event)


@hookimpl
async def visitor_identified(ctx: Ctx, event: VisitorIdentified) -> None:
    await remember(ctx, event)


@hookimpl
async def people_merged(ctx: Ctx, event: PeopleMerged) -> None:
    await remember(ctx, event)


@hookimpl
async def touches_recorded(ctx: Ctx, event: TouchesRecorded) -> None:
    await remember(ctx, event, f"{len(event.touch_ids)} touches")


@hookimpl
async def purchase_recorded(ctx: Ctx, event: PurchaseRecorded) -> object:
    """The one hook that misbehaves when its settings say so: the host's tests need a plugin that does."""
    await remember(ctx, event, f"{event.amount_minor} {event.currency}")
    return await jobs.mood(ctx)


@hookimpl
async def purchase_refunded(ctx: Ctx, event: PurchaseRefunded) -> None:
    await remember(ctx, event, f"{event.amount_minor} {event.currency}")


@hookimpl
async def attribution_computed(ctx: Ctx, event: AttributionComputed) -> None:
    await remember(ctx, event)


@hookimpl
async def recommendation_raised(ctx: Ctx, event: RecommendationRaised) -> None:
    await remember(ctx, event, event.title)


@hookimpl
async def connection_opened(ctx: Ctx, event: ConnectionOpened) -> None:
    await remember(ctx, event, event.platform)


@hookimpl
async def connection_lost(ctx: Ctx, event: ConnectionLost) -> None:
    await remember(ctx, event, event.reason)


@hookimpl
def sync_completed(ctx: Ctx, event: SyncCompleted) -> None:
    """A hook need not be async; this one runs in a thread, where only the log is at hand."""
    jobs.blocking_mood(ctx)
    ctx.log.info("synced %d, matched %d", event.processed, event.matched)


# -- its life with a tenant --------------------------------------------------------------------------------------------


@hookimpl
async def plugin_enabled(ctx: Ctx) -> None:
    await note(ctx, "plugin_enabled", ctx.settings.greeting)


@hookimpl
async def plugin_disabled(ctx: Ctx) -> None:
    await note(ctx, "plugin_disabled")


@hookimpl
async def settings_changed(ctx: Ctx, changed: Sequence[str]) -> None:
    await note(ctx, "settings_changed", ", ".join(changed))


@hookimpl
def migrate_settings(settings: Mapping[str, Any], from_version: int) -> Mapping[str, Any]:
    return from_version_1(settings)


@hookimpl
async def purge_tenant(ctx: Ctx) -> None:
    """The notes themselves core erases; what is at the platform is ours to erase."""
    await ctx.http.delete(f"https://api.sample.test/tenants/{ctx.tenant.id}")
