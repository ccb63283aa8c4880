"""What each tenant fills in. The same class holds the connector's credentials, so core tests them before it saves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from coursesignal.plugin import Secret, Settings

Mood = Literal["well", "raises", "hangs", "blocks", "answers"]


class SampleSettings(Settings):
    """The form."""

    api_key: Annotated[Secret, Meta(title="API key", description="From sample.test, under Account.", min_length=8)] = ""
    greeting: Annotated[str, Meta(title="Greeting", max_length=80)] = "Hello"
    notes_per_page: Annotated[int, Meta(title="Notes per page", ge=1, le=100)] = 20
    mood: Mood = "well"
    """How the hook purchase_recorded behaves."""


def from_version_1(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 1 called the greeting ``hello``."""
    values = dict(settings)
    if "hello" in values:
        values["greeting"] = values.pop("hello")
    return values
