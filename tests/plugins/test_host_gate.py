"""Where a tenant does not have a plugin, nothing of it is there; where it has it, everything is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner
from coursesignal_sample.fake import FakeSample

from coursesignal.attribution.catalogue import CORE_MODELS
from coursesignal.auth.callers import COOKIE
from coursesignal.runtime import Runtime
from coursesignal.testing.contexts import plugin_context
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

RunJobs = Callable[[], Awaitable[None]]
Client = httpx.AsyncClient


@pytest.fixture(scope="module")
def installation(sample_installation: Runtime, sample_platform: FakeSample) -> Runtime:
    return sample_installation


@pytest.fixture(scope="module")
async def having(make_tenant: TenantMaker) -> ActingTenant:
    """A tenant with the sample plugin on."""
    return await make_tenant(plugins=("sample",))


@pytest.fixture(scope="module", params=["off", "not granted"])
async def lacking(request: pytest.FixtureRequest, make_tenant: TenantMaker) -> ActingTenant:
    """A tenant without it."""
    tenant = await make_tenant(plugins=("sample",))
    column = "enabled" if request.param == "off" else "granted"
    async with tenant.transaction() as conn:
        await conn.execute(f"update plugin_states set {column} = false where tenant_id = $1", tenant.id)
    return tenant


CALLS = [
    ("GET", "/api/{plugin}/notes", None),
    ("GET", "/api/{plugin}/notes/note", None),
    ("POST", "/api/{plugin}/notes", {"body": "hello"}),
    ("POST", "/api/{plugin}/greet", {"to": "pat@example.com", "name": "Pat"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_route_of_a_plugin_that_is_off_is_answered_like_an_absent_one(
    client: Client, lacking: ActingTenant, method: str, path: str, body: Any
) -> None:
    answers = [
        await client.request(method, path.format(plugin=plugin), headers=lacking.headers, json=body)
        for plugin in ("sample", "absent")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_route_of_a_plugin_that_is_on_answers(
    client: Client, having: ActingTenant, method: str, path: str, body: Any
) -> None:
    await client.post("/api/sample/notes", headers=having.headers, json={"body": "first"})
    answer = await client.request(method, path.format(plugin="sample"), headers=having.headers, json=body)
    assert answer.is_success, answer.text


async def test_a_route_refuses_strangers_and_too_small_a_role(client: Client, make_tenant: TenantMaker) -> None:
    viewer = await make_tenant(plugins=("sample",), role="viewer")
    assert (await client.get("/api/sample/notes")).status_code == 401
    assert (await client.get("/api/sample/notes", headers=viewer.headers)).status_code == 200
    refused = await client.post("/api/sample/notes", headers=viewer.headers, json={"body": "x"})
    assert refused.status_code == 403


async def test_a_plugins_route_sees_its_own_tenant_only(
    client: Client, having: ActingTenant, make_tenant: TenantMaker
) -> None:
    other = await make_tenant(plugins=("sample",))
    await client.post("/api/sample/notes", headers=having.headers, json={"body": "ours"})
    assert (await client.get("/api/sample/notes", headers=other.headers)).json() == []


async def test_a_plugins_refusals_are_problem_documents(client: Client, having: ActingTenant) -> None:
    missing = await client.get("/api/sample/notes/unheard-of", headers=having.headers)
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    wrong = await client.post("/api/sample/notes", headers=having.headers, json={"body": "", "extra": 1})
    assert wrong.status_code == 422


async def test_the_public_area_is_found_by_site_key(
    client: Client, having: ActingTenant, lacking: ActingTenant
) -> None:
    found = await client.get("/api/public/sample", params={"site": having.site_key})
    assert found.json()["tenant"] == having.tenant.name
    hidden = [await client.get("/api/public/sample", params={"site": key}) for key in (lacking.site_key, "nobody", "")]
    absent = await client.get("/api/public/absent", params={"site": having.site_key})
    assert {answer.status_code for answer in hidden} == {404}
    assert {answer.content for answer in hidden} == {absent.content}


async def test_models_of_a_plugin_are_in_the_picker_where_it_is_on(
    client: Client, having: ActingTenant, lacking: ActingTenant
) -> None:
    async def models(tenant: ActingTenant) -> set[str]:
        answer = await client.get("/api/analytics/models", headers=tenant.headers)
        return {model["slug"] for model in answer.json()}

    cores = {model.slug for model in CORE_MODELS}
    assert await models(having) == cores | {"sample_middle", "sample_learned"}
    assert await models(lacking) == cores
    refused = await client.get("/api/analytics/summary", params={"model": "sample_middle"}, headers=lacking.headers)
    assert refused.status_code == 422


async def test_formats_of_a_plugin_are_offered_where_it_is_on(
    client: Client, having: ActingTenant, lacking: ActingTenant
) -> None:
    query = {"report": "sources", "format": "jsonl"}
    file = await client.get("/api/analytics/export", params=query, headers=having.headers)
    assert file.status_code == 200, file.text
    assert file.headers["content-type"].startswith("application/jsonl")
    assert '.jsonl"' in file.headers["content-disposition"]
    assert b'"source":"(unattributed)"' in file.content
    refused = await client.get("/api/analytics/export", params=query, headers=lacking.headers)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"path": "format", "message": "Must be one of csv, json."}]


async def test_channel_rules_of_a_plugin_decide_where_it_is_on(
    client: Client, having: ActingTenant, lacking: ActingTenant, run_jobs: RunJobs
) -> None:
    async def channel(tenant: ActingTenant) -> str:
        url = f"https://{tenant.tenant.slug}.example.com/?utm_source=daily&utm_medium=podcast"
        event = {"eventId": str(uuid4()), "type": "pageview", "url": url}
        body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": [event]}
        agent = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
        assert (await client.post("/api/tracking/event", json=body, headers=agent)).status_code == 202
        await run_jobs()
        async with tenant.transaction() as conn:
            found: str = await conn.fetchval("select channel from touches where tenant_id = $1", tenant.id)
        return found

    assert await channel(having) == "Podcasts"
    assert await channel(lacking) not in {"Podcasts", ""}


async def page(client: Client, installation: Runtime, tenant: ActingTenant) -> httpx.Response:
    """The plugin's page as the owner's browser gets it."""
    cookie = await browser_session(installation, tenant)
    return await client.get(f"/app/{tenant.tenant.slug}/sample/notes", headers={"cookie": f"{COOKIE}={cookie}"})


async def browser_session(installation: Runtime, tenant: ActingTenant) -> str:
    """A browser session of the owner."""
    from coursesignal.security.tokens import hash_token, new_token

    token = new_token()
    async with installation.database.control() as conn:
        await conn.execute(
            "insert into auth_sessions (user_id, kind, token_hash, expires_at) "
            "values ($1, 'browser', $2, now() + interval '1 hour')",
            tenant.owner_id,
            hash_token(token),
        )
    return token


async def test_a_page_has_the_shell_the_menu_and_the_panels(
    client: Client, installation: Runtime, having: ActingTenant
) -> None:
    await client.post("/api/sample/notes", headers=having.headers, json={"body": "<b>bold</b>"})
    shown = await page(client, installation, having)
    assert shown.status_code == 200, shown.text
    assert f"{having.email}, owner" in shown.text
    assert f'<a href="/app/{having.tenant.slug}/sample/notes">Notes</a>' in shown.text
    assert "<h2>Latest notes</h2>" in shown.text
    assert "<title>Notes – " in shown.text and 'action="/logout"' in shown.text
    assert f'<a href="/app/{having.tenant.slug}/sample/notes" aria-current="page">Notes</a>' in shown.text
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown.text
    assert "<b>bold</b>" not in shown.text


async def test_a_page_of_a_plugin_that_is_off_is_answered_like_an_absent_one(
    client: Client, installation: Runtime, lacking: ActingTenant
) -> None:
    cookie = {"cookie": f"{COOKIE}={await browser_session(installation, lacking)}"}
    hidden = await client.get(f"/app/{lacking.tenant.slug}/sample/notes", headers=cookie)
    absent = await client.get(f"/app/{lacking.tenant.slug}/absent/notes", headers=cookie)
    assert (hidden.status_code, hidden.content) == (404, absent.content)


async def test_a_panel_that_fails_is_missing_and_the_page_stands(
    client: Client, installation: Runtime, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant(plugins=("sample",))
    async with tenant.transaction() as conn:
        await conn.execute("update plugin_states set settings = $2 where tenant_id = $1", tenant.id, {"mood": "raises"})
    shown = await page(client, installation, tenant)
    assert shown.status_code == 200
    assert "<h2>Latest notes</h2><p>Not available now.</p>" in shown.text


async def test_rules_advise_where_the_plugin_is_on(
    installation: Runtime, having: ActingTenant, run_jobs: RunJobs
) -> None:
    ctx = await plugin_context(installation, having, "sample")
    (advice,) = await ctx.advice()
    assert (advice.rule, advice.recommendation.key) == ("sample_quiet_month", "sample_quiet_month")
    await ctx.raise_recommendation(advice)
    await ctx.raise_recommendation(advice)
    await run_jobs()
    async with having.transaction() as conn:
        noted = await conn.fetch(
            "select body from sample_notes where tenant_id = $1 and kind = 'recommendation_raised'", having.id
        )
    assert [row["body"] for row in noted] == ["A month without a sale"]


async def test_a_plugin_reaches_named_hosts_only(installation: Runtime, having: ActingTenant) -> None:
    from coursesignal.plugin import HostRefused

    ctx = await plugin_context(installation, having, "sample")
    for address in (
        "https://elsewhere.test/",
        "http://api.sample.test/",
        "http://169.254.169.254/",
        "https://api.sample.test.evil.test/",
    ):
        with pytest.raises(HostRefused, match=r"plugin 'sample': .* is not among its hosts. Use https, and add"):
            await ctx.http.get(address)


async def test_a_mail_cannot_carry_headers_of_its_own(installation: Runtime, having: ActingTenant) -> None:
    from coursesignal.plugin import PluginError

    ctx = await plugin_context(installation, having, "sample")
    for to, name in (
        ("pat@example.com\r\nBcc: all@example.com", "Pat"),
        ("pat@example.com", "Pat\nBcc: all@example.com"),
    ):
        with pytest.raises(PluginError, match=r"plugin 'sample': the (recipient|subject) of a mail must be one line"):
            await ctx.send_email("greeting", to, key="k", name=name, notes=[])
    with pytest.raises(PluginError, match=r"plugin 'sample': there is no mail 'goodbye'. Its mails are: greeting."):
        await ctx.send_email("goodbye", "pat@example.com", key="k")
    with pytest.raises(PluginError, match=r"plugin 'sample': there is no job 'rest'. Its jobs are: count, greet."):
        await ctx.enqueue("rest")


async def test_every_route_of_a_plugin_is_in_the_schema_under_its_tag(client: Client) -> None:
    schema = (await client.get("/api/schema/openapi.json")).json()
    tags = {
        path: {tag for operation in item.values() if isinstance(operation, dict) for tag in operation.get("tags", [])}
        for path, item in schema["paths"].items()
    }
    assert tags["/api/sample/notes"] == tags["/api/public/sample"] == {"sample"}
    names = [o["operationId"] for item in schema["paths"].values() for o in item.values() if isinstance(o, dict)]
    assert len(names) == len(set(names))


def test_a_plugins_commands_act_for_one_tenant(
    installation: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coursesignal.cli.plugins import plugin_group

    monkeypatch.setenv("COURSESIGNAL_HOME", str(tmp_path))
    group = plugin_group("sample", installation.settings)
    assert group is not None
    assert set(group.commands) == {"notes", "add"}
    helped = CliRunner().invoke(group, ["add", "--help"])
    assert "Write a note." in helped.output
    assert "--body TEXT" in helped.output
    assert "--loud" in helped.output
    for missing, words in (("--body", ["--tenant", "x"]), ("--tenant", ["--body", "x"])):
        refused = CliRunner().invoke(group, ["add", *words])
        assert refused.exit_code == 2
        assert missing in refused.output
