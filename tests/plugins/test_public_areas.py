"""What a plugin may ask for where nobody logs in, and what is said when it asks for something else."""

from __future__ import annotations

from typing import Any

import pytest

HANDLER = """
from litestar import get
from litestar.di import NamedDependency

@get({path!r}, summary="A route", operation_id="route")
async def route({name}: NamedDependency[{kind}]) -> str: return ""

@hookimpl
def register_routes(): return [Routes(handlers=[route], area={area!r})]
"""
KINDS = {"ctx": "Context[NoSettings]", "share": "Share", "notices": "Notices", "shell": "Shell"}


def plugin(scratch: Any, area: str, name: str, path: str = "/thing") -> None:
    scratch.plugin(HANDLER.format(path=path, name=name, kind=KINDS[name], area=area))


@pytest.mark.parametrize(
    ("area", "name"),
    [("shared", "ctx"), ("shared", "share"), ("shared_page", "share"), ("open", "notices"), ("public", "ctx")],
)
def test_each_public_area_gives_what_is_its_own(scratch: Any, area: str, name: str) -> None:
    plugin(scratch, area, name)
    registry = scratch.load()
    assert registry.quarantined == ()
    assert registry.plugins[0].declared.routes[0].area == area


@pytest.mark.parametrize(
    ("area", "name", "right"),
    [
        ("api", "share", "shared"),
        ("public", "notices", "open"),
        ("open", "ctx", "api"),
        ("shared", "shell", "dashboard"),
    ],
)
def test_what_an_area_does_not_have_is_refused_with_where_it_is(scratch: Any, area: str, name: str, right: str) -> None:
    plugin(scratch, area, name)
    refusal = scratch.refusal()
    assert f"asks for the {name}" in refusal and repr(right) in refusal


@pytest.mark.parametrize("path", ["/", "/two/words", "/{id:int}"])
def test_a_route_open_to_all_is_one_word(scratch: Any, path: str) -> None:
    plugin(scratch, "open", "notices", path)
    assert "is not one word" in scratch.refusal()
