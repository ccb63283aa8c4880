"""Throw-away plugins: packages written for one test, found as third parties' are."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from coursesignal.plugins.registry import Registry, load_registry
from coursesignal.settings import Settings

_numbers = itertools.count(1)

MANIFEST = """
slug = "{slug}"
name = "Scratch"
summary = "Written for a test."
version = "0.0.1"
api = 1
"""


@dataclass
class Scratch:
    """A folder of plugins and the plugins.toml that lists them."""

    folder: Path
    listed: dict[str, str] = field(default_factory=dict)
    on_error: str = "quarantine"

    def plugin(
        self,
        init: str = "",
        *,
        slug: str = "",
        manifest: str | None = MANIFEST,
        more: str = "",
        settings: str = "",
        files: Mapping[str, str] | None = None,
    ) -> str:
        """Write a plugin with ``init`` as its hooks and ``more`` in its manifest, list it, and return its slug."""
        slug = slug or f"scratch{next(_numbers)}"
        package = self.folder / f"coursesignal_{slug}"
        package.mkdir()
        (package / "__init__.py").write_text(f"from coursesignal.plugin import *\n{dedent(init)}")
        if manifest is not None:
            (package / "plugin.toml").write_text(manifest.format(slug=slug) + dedent(more))
        for name, text in (files or {}).items():
            path = package / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))
        self.listed[slug] = settings
        return slug

    @property
    def plugins_file(self) -> Path:
        path = self.folder / "plugins.toml"
        tables = "".join(f"[plugins.{slug}]\n{settings}\n" for slug, settings in self.listed.items())
        path.write_text(f'[host]\non_error = "{self.on_error}"\n{tables}')
        return path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder / "home", plugins_file=self.plugins_file, testing=True)

    def load(self) -> Registry:
        """Start the host with what is listed."""
        return load_registry(self.settings)

    def refusal(self) -> str:
        """Why the only plugin that was refused was refused."""
        (quarantined,) = self.load().quarantined
        return quarantined.reason


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    """Plugins of this test's own."""
    monkeypatch.syspath_prepend(tmp_path)
    yield Scratch(tmp_path)
    for name in [name for name in sys.modules if name.startswith("coursesignal_scratch")]:
        del sys.modules[name]
