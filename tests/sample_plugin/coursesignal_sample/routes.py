"""The plugin's addresses: an API, a dashboard page, and something for the public."""

from __future__ import annotations

import html
from typing import Annotated

import msgspec
from litestar import MediaType, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from coursesignal.plugin import Context, NotFound, PluginError, Routes, Shell
from coursesignal_sample.notes import Note, latest, note
from coursesignal_sample.settings import SampleSettings

Ctx = NamedDependency[Context[SampleSettings]]


class NewNote(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What somebody writes."""

    body: Annotated[str, Meta(min_length=1, max_length=500)]


class Greeting(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whom to greet."""

    to: str
    name: str


class Public(msgspec.Struct, frozen=True, rename="camel"):
    """What anybody may know."""

    tenant: str
    notes: int


@get("/notes", operation_id="sample_list_notes", summary="The latest notes")
async def list_notes(ctx: Ctx) -> list[Note]:
    return await latest(ctx)


@get("/notes/{kind:str}", operation_id="sample_get_note", summary="The latest note of a kind")
async def get_note(ctx: Ctx, kind: FromPath[str]) -> Note:
    found = next((line for line in await latest(ctx, 100) if line.kind == kind), None)
    if found is None:
        raise NotFound
    return found


@post("/notes", operation_id="sample_add_note", summary="Write a note")
async def add_note(ctx: Ctx, data: JSONBody[NewNote]) -> None:
    await note(ctx, "note", data.body)


@post("/greet", operation_id="sample_greet", summary="Send a greeting", status_code=202)
async def greet(ctx: Ctx, data: JSONBody[Greeting]) -> None:
    await ctx.enqueue("greet", key=data.to, to=data.to, name=data.name)


@get("/notes", operation_id="sample_notes_page", summary="The notes as a page", media_type=MediaType.HTML)
async def notes_page(ctx: Ctx, shell: NamedDependency[Shell]) -> str:
    """A page with everything the shell gives: the person, the menu, other plugins' panels, the frame around it."""
    lines = "".join(f"<li>{html.escape(f'{line.kind} {line.body}')}</li>" for line in await latest(ctx))
    menu = "".join(f'<a href="{link.href}">{html.escape(link.label)}</a>' for link in await shell.nav())
    parts = [f"<h1>Notes</h1><p>{html.escape(shell.email)}, {shell.role}</p><nav>{menu}</nav><ul>{lines}</ul>"]
    for link in await shell.panels("overview"):
        try:
            parts.append(f"<h2>{html.escape(link.title)}</h2>{await shell.panel(link.plugin, link.slug)}")
        except PluginError:
            parts.append(f"<h2>{html.escape(link.title)}</h2><p>Not available now.</p>")
    return await shell.page("Notes", "".join(parts))


@get("/", operation_id="sample_public", summary="How many notes there are")
async def public(ctx: Ctx) -> Public:
    return Public(tenant=ctx.tenant.name, notes=len(await latest(ctx, 100)))


ROUTES = [
    Routes(handlers=[list_notes, get_note, add_note, greet]),
    Routes(handlers=[notes_page], area="dashboard"),
    Routes(handlers=[public], area="public"),
]
