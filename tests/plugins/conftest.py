"""The host's subjects: throw-away plugins written for one test, and an installation with the sample plugin."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from coursesignal.settings import Settings

if TYPE_CHECKING:
    import httpx
    from coursesignal_sample.fake import FakeSample

    from coursesignal.plugins.registry import Registry
    from coursesignal.runtime import Runtime
    from coursesignal.testing.fixtures import ActingTenant
    from coursesignal.testing.server import TestServer

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
        from coursesignal.plugins.registry import load_registry

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


NEEDY = """
class Form(Settings):
    word: str

@hookimpl
def register_settings(): return Form
"""


@pytest.fixture(scope="module")
def third_parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """Beside the sample plugin: one that needs it and a setting without a default, and one that cannot be imported."""
    scratch = Scratch(tmp_path_factory.mktemp("third_parties"))
    scratch.plugin(NEEDY, slug="needy", more='requires = ["sample"]')
    scratch.plugin("raise RuntimeError('no luck')", slug="broken")
    sys.path.insert(0, str(scratch.folder))
    scratch.listed = {"kajabi": "", "teachable": "", "sample": "notes_per_page = 15", **scratch.listed}
    yield scratch
    sys.path.remove(str(scratch.folder))
    for name in ("coursesignal_needy", "coursesignal_broken"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
async def sample_installation(
    anyio_backend: str, test_server: TestServer, third_parties: Scratch, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    """An installation with the sample plugin beside the connectors and other third parties."""
    from coursesignal.runtime import Runtime

    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=home,
        plugins_file=third_parties.plugins_file,
        base_url="http://coursesignal.test",
        testing=True,
        pool_size=8,
    )
    runtime = Runtime.prepare(settings, where=test_server.addresses(await test_server.clone()))
    await runtime.migrator.up()
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


@pytest.fixture(scope="module")
async def sample_platform(sample_installation: Runtime) -> AsyncIterator[FakeSample]:
    """The platform that the sample plugin connects."""
    from coursesignal_sample.fake import FakeSample

    from coursesignal.testing.platforms import use_platform

    async with FakeSample() as fake:
        use_platform(sample_installation, fake)
        yield fake


class Visitor:
    """The tenant's person in a browser."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, token: str, csrf: str) -> None:
        self.http, self.tenant, self.token, self.csrf = http, tenant, token, csrf

    async def get(self, page: str) -> httpx.Response:
        return await self.http.get(f"/app/{self.tenant.tenant.slug}/{page}", headers=self._headers)

    async def post(self, page: str, form: Mapping[str, str], *, csrf: str | None = None) -> httpx.Response:
        fields = {"csrf_token": self.csrf if csrf is None else csrf, **form}
        return await self.http.post(f"/app/{self.tenant.tenant.slug}/{page}", data=fields, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        from coursesignal.auth.callers import COOKIE

        return {"cookie": f"{COOKIE}={self.token}", "accept": "text/html", "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def in_browser(client: httpx.AsyncClient) -> Callable[[ActingTenant], Awaitable[Visitor]]:
    """``await in_browser(tenant)``: its person, logged in on the pages."""
    return functools.partial(_visitor, client)


async def _visitor(http: httpx.AsyncClient, tenant: ActingTenant) -> Visitor:
    from coursesignal.auth.callers import csrf_token
    from coursesignal.auth.sessions import open_browser_session

    async with tenant.runtime.database.control() as conn:
        session = await open_browser_session(conn, tenant.owner_id)
        session_id = await conn.fetchval(
            "select id from auth_sessions where user_id = $1 order by created_at desc limit 1", tenant.owner_id
        )
    return Visitor(http, tenant, session.token, csrf_token(tenant.runtime.keys, session_id))
