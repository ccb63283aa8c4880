"""Templates of plugins: ``<slug>/page.html`` is the file ``templates/page.html`` of that plugin's package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from coursesignal.plugin import EmailTemplate, PluginError
from coursesignal.plugins.loaded import LoadedPlugin


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """A mail ready to be queued."""

    subject: str
    text: str
    html: str | None


def environment(plugin: LoadedPlugin) -> jinja2.Environment:
    """Sees the plugin's own templates only; values are escaped in .html, an unknown one is an error."""
    return _environment(plugin.slug, plugin.folder / "templates")


@cache
def _environment(slug: str, folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PrefixLoader({slug: jinja2.FileSystemLoader(folder)}),
        autoescape=jinja2.select_autoescape(["html"], default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def check_template(plugin: LoadedPlugin, template: str) -> None:
    """Raise PluginError unless ``template`` can be parsed."""
    try:
        environment(plugin).get_template(template)
    except jinja2.TemplateError as error:
        raise PluginError(f"plugin {plugin.slug!r}: template {template} is not valid: {error}. Correct it.") from error


def render(plugin: LoadedPlugin, template: str, values: Mapping[str, Any]) -> str:
    """The text of ``template``; raises PluginError that names the template."""
    try:
        return environment(plugin).get_template(template).render(values)
    except jinja2.TemplateError as error:
        raise PluginError(
            f"plugin {plugin.slug!r}: template {template} cannot be rendered: {error}. Correct it."
        ) from error


def render_mail(plugin: LoadedPlugin, mail: EmailTemplate, values: Mapping[str, Any]) -> RenderedMail:
    """Subject and bodies of one mail; raises PluginError, also for a subject that would add headers."""
    try:
        subject = environment(plugin).from_string(mail.subject).render(values)
    except jinja2.TemplateError as error:
        raise PluginError(
            f"plugin {plugin.slug!r}: the subject of mail {mail.slug} cannot be rendered: {error}."
        ) from error
    one_line(plugin.slug, "subject", subject)
    stem = f"{plugin.slug}/{mail.template}"
    has_html = (plugin.folder / "templates" / f"{mail.template}.html").is_file()
    html = render(plugin, f"{stem}.html", values) if has_html else None
    return RenderedMail(subject, render(plugin, f"{stem}.txt", values), html)


def one_line(slug: str, what: str, value: str) -> None:
    """Refuse a header value that is more than one line."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in value):
        raise PluginError(f"plugin {slug!r}: the {what} of a mail must be one line without control characters.")
