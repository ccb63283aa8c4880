"""Ask a plugin for its declarations, once, and refuse what could not work later: wrong types, wrong names, missing files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from croniter import croniter
from piccolo.table import Table

from coursesignal.errors import PluginLoadError
from coursesignal.plugin import (
    AttributionModel,
    Capabilities,
    ChannelRule,
    Command,
    Connector,
    Cron,
    EmailTemplate,
    Exporter,
    Job,
    NavItem,
    NoSettings,
    Panel,
    Permission,
    RecommendationRule,
    Routes,
    Settings,
)
from coursesignal.plugins.forms import MISSING, form_problem, problems, wire_names
from coursesignal.plugins.loaded import Declarations, Hook
from coursesignal.plugins.manifest import Manifest
from coursesignal.plugins.options import command_options

NAME = re.compile(r"^[a-z][a-z0-9_]{0,48}$")
COMMAND_NAME = re.compile(r"^[a-z][a-z0-9-]{0,48}$")
EVERY_PLUGINS_SCOPES = {"read", "write"}


def declarations(manifest: Manifest, folder: Path, hooks: Mapping[str, Hook]) -> Declarations:
    """Call every registration hook in ``hooks`` and return what they declared, checked on its own."""
    ask = _Asker(manifest.slug, hooks)
    declared = Declarations(
        settings=ask.settings(),
        routes=ask.list("register_routes", Routes),
        tables=ask.list("register_models", type),
        jobs=ask.list("register_jobs", Job),
        crons=ask.list("register_crons", Cron),
        connectors=ask.list("register_connectors", Connector),
        attribution_models=ask.list("register_attribution_models", AttributionModel),
        rules=ask.list("register_recommendation_rules", RecommendationRule),
        nav_items=ask.list("register_nav_items", NavItem),
        panels=ask.list("register_panels", Panel),
        email_templates=ask.list("register_email_templates", EmailTemplate),
        exporters=ask.list("register_exporters", Exporter),
        permissions=ask.list("register_permissions", Permission),
        channel_rules=ask.list("register_channel_rules", ChannelRule),
        commands=ask.list("register_commands", Command),
    )
    for check in _CHECKS:
        check(manifest, folder, declared)
    return declared


def installation_defaults(manifest: Manifest, settings: type[Settings], table: Mapping[str, Any]) -> dict[str, Any]:
    """The plugin's table in plugins.toml, by wire name: defaults for every tenant's settings."""
    names = wire_names(settings)
    for name in table:
        if name not in names:
            mend = f"Its settings are: {', '.join(names) or 'none'}."
            _refuse(manifest, f"[plugins.{manifest.slug}] in plugins.toml sets the unknown field {name!r}", mend)
    values = {names[name]: value for name, value in table.items()}
    wrong = [e for e in problems(settings, values) if manifest.tenant_default != "off" or e.message != MISSING]
    if wrong:
        mend = (
            "Give the field a default, or a value in plugins.toml: the plugin is on before anybody fills in its form."
        )
        if wrong[0].message != MISSING:
            mend = f"Correct it in the table [plugins.{manifest.slug}] of plugins.toml."
        _refuse(manifest, f"its setting {wrong[0].path!r}: {wrong[0].message}", mend)
    return values


class _Asker:
    """Calls registration hooks of one plugin; an exception becomes a PluginLoadError that names the hook."""

    def __init__(self, slug: str, hooks: Mapping[str, Hook]) -> None:
        self.slug = slug
        self.hooks = hooks

    def settings(self) -> type[Settings]:
        cls = self._call("register_settings", NoSettings)
        if not (isinstance(cls, type) and issubclass(cls, Settings)):
            mend = "Return the class itself, a subclass of coursesignal.plugin.Settings."
            raise PluginLoadError(self.slug, f"register_settings returned {_short(cls)}", mend)
        return cls

    def list(self, name: str, kind: type[Any]) -> tuple[Any, ...]:
        result = self._call(name, ())
        mend = f"Return a list of {kind.__name__ if kind is not type else 'Table classes'}."
        if not isinstance(result, (list, tuple)):
            raise PluginLoadError(self.slug, f"{name} returned {_short(result)}", mend)
        for item in result:
            if not isinstance(item, kind):
                raise PluginLoadError(self.slug, f"{name} returned {_short(item)} in its list", mend)
        return tuple(result)

    def _call(self, name: str, default: object) -> Any:
        hook = self.hooks.get(name)
        if hook is None:
            return default
        if hook.is_async:
            raise PluginLoadError(
                self.slug, f"{name} is async", "Make it a plain function: it runs once, at the start."
            )
        try:
            return hook.call()
        except Exception as error:
            reason = f"{name} raised {type(error).__name__}: {error}"
            raise PluginLoadError(self.slug, reason, f"Correct {name}; it must need nothing but the code.") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(manifest: Manifest, reason: str, mend: str) -> NoReturn:
    raise PluginLoadError(manifest.slug, reason, mend)


def _names(manifest: Manifest, hook: str, names: Iterable[object], pattern: re.Pattern[str] = NAME) -> None:
    """Every name is well-formed and used once."""
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not pattern.match(name):
            _refuse(manifest, f"{hook} names something {name!r}", f"Use a name that matches {pattern.pattern}.")
        if name in seen:
            _refuse(manifest, f"{hook} uses the name {name!r} twice", "Rename one of the two.")
        seen.add(name)


def _slug_of(thing: object) -> object:
    return getattr(thing, "slug", None)


# -- one check per kind ------------------------------------------------------------------------------------------------


def _check_settings(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    problem = form_problem(declared.settings)
    if problem is not None:
        _refuse(manifest, f"register_settings: {problem[0]}", problem[1])


def _check_tables(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    for table in declared.tables:
        if not issubclass(table, Table):
            _refuse(manifest, f"register_models returned {_short(table)}", "Return Piccolo Table classes.")
        if not table._meta.tablename.startswith(f"{manifest.slug}_"):
            mend = f"Call it {manifest.slug}_{table._meta.tablename}, in the class and in the migration."
            _refuse(manifest, f"its table {table._meta.tablename!r} does not begin with {manifest.slug}_", mend)
    _names(manifest, "register_models", (table._meta.tablename for table in declared.tables))


def _check_jobs(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_jobs", (job.name for job in declared.jobs))
    for job in declared.jobs:
        if not inspect.iscoroutinefunction(job.function) or not inspect.signature(job.function).parameters:
            _refuse(manifest, f"the function of job {job.name!r} cannot be run", "Make it `async def job(ctx, …)`.")
        if job.retries < 0 or job.timeout.total_seconds() <= 0:
            _refuse(manifest, f"job {job.name!r} can never run", "Give it retries ≥ 0 and a timeout above 0.")


def _check_crons(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_crons", (cron.name for cron in declared.crons))
    jobs = [job.name for job in declared.jobs]
    for cron in declared.crons:
        if cron.job not in jobs:
            mend = f"Name one of its jobs ({', '.join(jobs) or 'there is none'}), without the slug."
            _refuse(manifest, f"cron {cron.name!r} runs the unknown job {cron.job!r}", mend)
        if len(cron.schedule.split()) != 5 or not croniter.is_valid(cron.schedule):
            mend = 'Write five fields, as in "*/5 * * * *" for every five minutes.'
            _refuse(manifest, f"cron {cron.name!r} has the schedule {cron.schedule!r}", mend)


def _check_connectors(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    if len(declared.connectors) > 1:
        _refuse(manifest, "register_connectors returned more than one", "Write one plugin per platform.")
    for connector in declared.connectors:
        if _slug_of(connector) != manifest.slug:
            mend = f'Set slug = "{manifest.slug}": a connector is reached at /api/<slug>.'
            _refuse(manifest, f"its connector has the slug {_slug_of(connector)!r}", mend)
        _check_connector(manifest, connector)


def _check_connector(manifest: Manifest, connector: Connector[Any]) -> None:
    credentials = getattr(connector, "credentials", None)
    if not (isinstance(credentials, type) and issubclass(credentials, Settings)):
        _refuse(manifest, "its connector has no credentials class", "Set credentials to a subclass of Settings.")
    problem = form_problem(credentials)
    if problem is not None:
        _refuse(manifest, f"the connector's credentials: {problem[0]}", problem[1])
    if not isinstance(getattr(connector, "capabilities", None), Capabilities) or not getattr(connector, "name", ""):
        _refuse(manifest, "its connector has no name or no capabilities", "Set both; docs/connectors.md tells them.")
    address = urlsplit(getattr(connector, "api_url", ""))
    if address.scheme != "https" or not manifest.reaches(address.hostname or ""):
        mend = f'Use https and add the host to plugin.toml: hosts = ["{address.hostname or "api.example.com"}"].'
        _refuse(manifest, f"its connector's api_url {address.geturl()!r} is not among its hosts", mend)


def _check_slugs(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_attribution_models", map(_slug_of, declared.attribution_models))
    _names(manifest, "register_recommendation_rules", map(_slug_of, declared.rules))
    _names(manifest, "register_exporters", map(_slug_of, declared.exporters))
    _names(manifest, "register_channel_rules", map(_slug_of, declared.channel_rules))
    _names(manifest, "register_permissions", map(_slug_of, declared.permissions))
    for permission in declared.permissions:
        if permission.slug in EVERY_PLUGINS_SCOPES:
            mend = "Every plugin has read and write; name only what goes beyond them."
            _refuse(manifest, f"register_permissions declares {permission.slug!r}", mend)


def _check_panels(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_panels", (panel.slug for panel in declared.panels))
    for panel in declared.panels:
        prefix, _, name = panel.template.partition("/")
        if prefix != manifest.slug or not (folder / "templates" / name).is_file():
            mend = f"Write {manifest.slug}/<name>.html and put <name>.html in the package's folder templates."
            _refuse(manifest, f"there is no template {panel.template!r} for panel {panel.slug!r}", mend)
        if not inspect.iscoroutinefunction(panel.load):
            _refuse(
                manifest, f"the load function of panel {panel.slug!r} is not async", "Make it `async def load(ctx)`."
            )


def _check_mails(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_email_templates", (template.slug for template in declared.email_templates))
    for template in declared.email_templates:
        if not (folder / "templates" / f"{template.template}.txt").is_file():
            mend = f"Put {template.template}.txt in the package's folder templates."
            _refuse(manifest, f"there is no text for mail {template.slug!r}", mend)
        if "\n" in template.subject or "\r" in template.subject:
            _refuse(manifest, f"the subject of mail {template.slug!r} has a line break", "Write it on one line.")


def _check_commands(manifest: Manifest, folder: Path, declared: Declarations) -> None:
    _names(manifest, "register_commands", (command.name for command in declared.commands), COMMAND_NAME)
    for command in declared.commands:
        try:
            command_options(command)
        except TypeError as error:
            mend = "Make it `async def command(ctx, *, …)` with options of type str, int, float or bool."
            _refuse(manifest, f"command {command.name!r}: {error}", mend)


_CHECKS: tuple[Callable[[Manifest, Path, Declarations], None], ...] = (
    _check_settings,
    _check_tables,
    _check_jobs,
    _check_crons,
    _check_connectors,
    _check_slugs,
    _check_panels,
    _check_mails,
    _check_commands,
)
