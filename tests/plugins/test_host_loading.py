"""A plugin is loaded whole or not at all, and what refuses it names the plugin and the mend."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from coursesignal.cli import main
from coursesignal.errors import ConfigurationError, PluginLoadError
from coursesignal.plugin import Hit
from coursesignal.plugins.hookspecs import LIFECYCLE, REGISTRATION
from coursesignal.settings import Settings

Scratch = Any


def test_the_sample_plugin_is_found_by_its_entry_point_and_offers_something_of_everything(scratch: Scratch) -> None:
    scratch.listed["sample"] = ""
    registry = scratch.load()
    (plugin,) = registry.plugins
    assert (plugin.slug, plugin.package, plugin.bundled) == ("sample", "coursesignal_sample", False)
    declared = plugin.declared
    for kind in declared.__dataclass_fields__:
        assert getattr(declared, kind), f"the sample plugin declares no {kind}"
    assert registry.models["sample_learned"] is declared.attribution_models[1]
    assert registry.connectors["sample"] is declared.connectors[0]
    assert set(registry.jobs) == {"sample.count", "sample.greet"}
    assert [source.app for source in registry.migration_sources] == ["sample"]


def test_the_sample_plugin_implements_every_hook_there_is(scratch: Scratch) -> None:
    from coursesignal.events import EVENTS

    scratch.listed["sample"] = ""
    (plugin,) = scratch.load().plugins
    assert set(plugin.hooks) == {event.name for event in EVENTS} | set(LIFECYCLE)
    import coursesignal_sample

    assert all(hasattr(coursesignal_sample, name) for name in REGISTRATION)


def test_the_registry_cannot_be_changed_after_the_start(scratch: Scratch) -> None:
    scratch.listed["sample"] = ""
    registry = scratch.load()
    with pytest.raises(TypeError):
        registry.models["mine"] = None
    with pytest.raises(AttributeError):
        registry.plugins = ()
    with pytest.raises(AttributeError):
        registry.plugins[0].declared = None


def test_a_broken_third_party_plugin_is_quarantined_and_the_rest_runs(scratch: Scratch) -> None:
    broken = scratch.plugin("raise RuntimeError('no luck')")
    scratch.listed["sample"] = ""
    registry = scratch.load()
    assert [plugin.slug for plugin in registry.plugins] == ["sample"]
    (quarantined,) = registry.quarantined
    assert quarantined.slug == broken
    assert f"plugin '{broken}': importing coursesignal_{broken} raised RuntimeError: no luck." in quarantined.reason
    assert f"take [plugins.{broken}] out of plugins.toml" in quarantined.reason


def test_a_broken_third_party_plugin_aborts_the_start_when_the_operator_wants_that(scratch: Scratch) -> None:
    broken = scratch.plugin("raise RuntimeError('no luck')")
    scratch.on_error = "abort"
    with pytest.raises(PluginLoadError, match=f"plugin '{broken}'.*no luck.*Correct the plugin"):
        scratch.load()


def test_a_broken_bundled_plugin_aborts_the_start_whatever_the_operator_wants(scratch: Scratch) -> None:
    scratch.listed["kajabi"] = "nonsense = 1"
    with pytest.raises(PluginLoadError, match=r"plugin 'kajabi': .*'nonsense'.*Its settings are:"):
        scratch.load()


def test_nothing_of_a_refused_plugin_stays_behind(scratch: Scratch) -> None:
    scratch.plugin(
        """
        class One(AttributionModel):
            slug, name, description = "scratch_model", "One", "One"
            def credit(self, path, purchased_at): return [1.0]
        @hookimpl
        def register_attribution_models(): return [One()]
        @hookimpl
        def register_jobs(): return ["not a job"]
        @hookimpl
        async def purchase_recorded(ctx, event): ...
        """
    )
    registry = scratch.load()
    assert registry.plugins == ()
    assert "scratch_model" not in registry.models
    assert registry.subscribers("purchase_recorded") == ()
    assert "register_jobs returned 'not a job' in its list. Return a list of Job." in registry.quarantined[0].reason


MODEL = """
class Same(AttributionModel):
    slug, name, description = "{slug}", "Same", "Same"
    def credit(self, path, purchased_at): return [1.0]
@hookimpl
def register_attribution_models(): return [Same()]
"""

JOB = """
async def work(ctx): ...
@hookimpl
def register_jobs(): return [Job(name="work", function=work)]
"""

REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown manifest key": (
        {"more": 'colour = "red"'},
        "its plugin.toml is not valid: Object contains unknown field `colour`",
        "Correct plugin.toml",
    ),
    "a missing manifest key": (
        {"manifest": 'slug = "{slug}"\nname = "x"\nversion = "1"\napi = 1\n'},
        "missing required field `summary`",
        "docs/manifest.md lists its keys",
    ),
    "a manifest that is no TOML": ({"more": "= ="}, "its plugin.toml is not TOML", "Correct plugin.toml"),
    "no manifest": ({"manifest": None}, "it has no plugin.toml", "Add it beside __init__.py"),
    "no version": (
        {"manifest": 'slug = "{slug}"\nname = "x"\nsummary = "x"\napi = 1\n'},
        "has no version",
        'Add a line such as version = "1.0.0"',
    ),
    "a newer api": (
        {"manifest": 'slug = "{slug}"\napi = 2\nsomething_new = true\n'},
        "it is written for plugin API 2, this is 1",
        "Update CourseSignal, or install a version of it for API 1",
    ),
    "no api": ({"manifest": 'slug = "{slug}"\n'}, "names no API version", "Add the line api = 1"),
    "another slug": (
        {"manifest": 'slug = "other"\nname = "x"\nsummary = "x"\nversion = "1"\napi = 1\n'},
        "its plugin.toml says slug = 'other'",
        "Write [plugins.other]",
    ),
    "a host with a path": ({"more": 'hosts = ["https://a.test/"]'}, "is not valid", "Correct plugin.toml"),
    "a required plugin that is not there": (
        {"more": 'requires = ["nowhere"]'},
        "it requires the plugin 'nowhere', which is not in plugins.toml",
        "Add [plugins.nowhere] to plugins.toml",
    ),
    "an unknown hook": (
        {"init": "@hookimpl\ndef purchase_imagined(ctx): ..."},
        "purchase_imagined",
        "Name hooks and their arguments as docs/hooks.md does",
    ),
    "an unknown argument": (
        {"init": "@hookimpl\ndef purchase_recorded(ctx, event, app): ..."},
        "app",
        "Name hooks and their arguments as docs/hooks.md does",
    ),
    "a hook wrapper": (
        {"init": "@hookimpl(wrapper=True)\ndef purchase_recorded(ctx, event):\n    return (yield)"},
        "purchase_recorded is a hook wrapper",
        "Use @hookimpl without arguments",
    ),
    "an async registration": (
        {"init": "@hookimpl\nasync def register_jobs(): return []"},
        "register_jobs is async",
        "Make it a plain function",
    ),
    "a registration that raises": (
        {"init": "@hookimpl\ndef register_jobs(): raise ValueError('oops')"},
        "register_jobs raised ValueError: oops",
        "Correct register_jobs",
    ),
    "a registration that returns nothing": (
        {"init": "@hookimpl\ndef register_jobs(): ..."},
        "register_jobs returned None",
        "Return a list of Job",
    ),
    "settings that are no class": (
        {"init": "@hookimpl\ndef register_settings(): return Settings()"},
        "register_settings returned Settings()",
        "Return the class itself",
    ),
    "a secret inside another struct": (
        {
            "init": """
            class Inner(Settings, frozen=True):
                key: Secret = ""
            class Outer(Settings):
                inner: Inner = Inner()
            @hookimpl
            def register_settings(): return Outer
            """
        },
        "the secret inside field 'inner' of Outer would be stored in the open",
        "Move the Secret to the top level",
    ),
    "a default-on plugin that cannot work without being set up": (
        {
            "more": 'tenant_default = "on"',
            "init": "class Form(Settings):\n    key: str\n@hookimpl\ndef register_settings(): return Form",
        },
        "its setting 'key': Is required.",
        "Give the field a default",
    ),
    "an installation-wide setting of the wrong type": (
        {
            "settings": 'many = "a lot"',
            "init": "class Form(Settings):\n    many: int = 1\n@hookimpl\ndef register_settings(): return Form",
        },
        "its setting 'many': Expected int, got str.",
        "Correct it in the table",
    ),
    "a model with a name that core uses": (
        {"init": MODEL.format(slug="last_touch")},
        "its model 'last_touch' has a name that core uses already",
        "Rename it, for example",
    ),
    "a cron of an unknown job": (
        {"init": JOB + '@hookimpl\ndef register_crons(): return [Cron(name="c", schedule="* * * * *", job="rest")]'},
        "cron 'c' runs the unknown job 'rest'",
        "Name one of its jobs (work)",
    ),
    "a cron with a wrong schedule": (
        {"init": JOB + '@hookimpl\ndef register_crons(): return [Cron(name="c", schedule="hourly", job="work")]'},
        "cron 'c' has the schedule 'hourly'",
        "Write five fields",
    ),
    "the same job twice": (
        {
            "init": """
            async def work(ctx): ...
            @hookimpl
            def register_jobs(): return [Job(name="work", function=work), Job(name="work", function=work)]
            """
        },
        "register_jobs uses the name 'work' twice",
        "Rename one of the two",
    ),
    "a job that is not async": (
        {"init": '@hookimpl\ndef register_jobs(): return [Job(name="work", function=print)]'},
        "the function of job 'work' cannot be run",
        "Make it `async def job(ctx, …)`",
    ),
    "a table of another's name": (
        {
            "init": """
            from piccolo.table import Table
            class Purchases(Table, tablename="purchases"): ...
            @hookimpl
            def register_models(): return [Purchases]
            """
        },
        "its table 'purchases' does not begin with",
        "Call it",
    ),
    "a panel without a template": (
        {
            "init": """
            async def load(ctx): return {}
            @hookimpl
            def register_panels(): return [Panel(slug="p", title="P", slot="overview", template="x/p.html", load=load)]
            """
        },
        "there is no template 'x/p.html' for panel 'p'",
        "in the package's folder templates",
    ),
    "a mail without a text": (
        {
            "init": '@hookimpl\ndef register_email_templates(): return [EmailTemplate(slug="m", subject="S", template="m")]'
        },
        "there is no text for mail 'm'",
        "Put m.txt in the package's folder templates",
    ),
    "a mail whose subject has a line break": (
        {
            "init": '@hookimpl\ndef register_email_templates(): return [EmailTemplate(slug="m", subject="a\\nb", template="m")]',
            "files": {"templates/m.txt": "hello"},
        },
        "the subject of mail 'm' has a line break",
        "Write it on one line",
    ),
    "a permission every plugin has": (
        {"init": '@hookimpl\ndef register_permissions(): return [Permission(slug="read", label="Read")]'},
        "register_permissions declares 'read'",
        "Every plugin has read and write",
    ),
    "a command with a parameter that is no option": (
        {
            "init": """
            async def run(ctx, what: dict): ...
            @hookimpl
            def register_commands(): return [Command(name="run", function=run)]
            """
        },
        "command 'run': its parameter 'what' is not an option",
        "Make it `async def command(ctx, *, …)`",
    ),
    "a handler that reaches for core's database": (
        {
            "init": """
            from litestar import get
            @get("/x")
            async def x(db: object) -> None: ...
            @hookimpl
            def register_routes(): return [Routes(handlers=[x])]
            """
        },
        "its handler x asks for 'db'",
        "Take it from ctx",
    ),
    "a handler that cannot be built": (
        {
            "init": """
            from litestar import get
            @get("/x")
            async def x(what: "Nonsense") -> None: ...
            @hookimpl
            def register_routes(): return [Routes(handlers=[x])]
            """
        },
        "its routes cannot be built",
        "Build it in a Litestar application of your own",
    ),
    "the same route twice": (
        {
            "init": """
            from litestar import get
            @get("/x")
            async def x() -> None: ...
            @get("/x")
            async def y() -> None: ...
            @hookimpl
            def register_routes(): return [Routes(handlers=[x]), Routes(handlers=[y])]
            """
        },
        "its routes cannot be built",
        "Build it in a Litestar application of your own",
    ),
    "a migration of another's name": (
        {"files": {"migrations/other_1.py": 'ID = "1"'}},
        "its migration other_1.py does not begin with",
        "names of migrations are shared by all plugins",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_plugin_is_refused_with_its_name_and_the_mend(scratch: Scratch, case: str) -> None:
    given, reason, mend = REFUSALS[case]
    slug = scratch.plugin(**given)
    message = scratch.refusal()
    assert message.startswith(f"plugin '{slug}': ")
    assert reason in message
    assert mend in message


CONNECTOR = """
class Form(Settings): ...
class Mine(Connector):
    slug, name, api_url, credentials = "{slug}", "Mine", "{api_url}", Form
    capabilities = Capabilities(signed_push=True, refund_push=True, refunds="rows", currency_in_push=True,
                                email_in_push=True, email_in_pull=True)
    async def connect(self, ctx): ...
    def verify_webhook(self, request, credentials): ...
    def parse_webhook(self, request): return []
@hookimpl
def register_connectors(): return [Mine()]
"""


def test_a_connector_has_the_slug_of_its_plugin(scratch: Scratch) -> None:
    slug = scratch.plugin(CONNECTOR.format(slug="other", api_url="https://api.mine.test"))
    assert f"its connector has the slug 'other'. Set slug = \"{slug}\"" in scratch.refusal()


@pytest.mark.parametrize("address", ["https://elsewhere.test", "http://api.mine.test", "ftp://api.mine.test", ""])
def test_a_connector_reaches_only_hosts_its_manifest_names(scratch: Scratch, address: str) -> None:
    init = CONNECTOR.format(slug="scratch_reach", api_url=address)
    scratch.plugin(init, slug="scratch_reach", more='hosts = ["api.mine.test"]')
    message = scratch.refusal()
    assert f"plugin 'scratch_reach': its connector's api_url '{address}' is not among its hosts" in message
    assert "add the host to plugin.toml" in message


def test_a_name_two_plugins_want_goes_to_the_first_and_the_second_is_refused(scratch: Scratch) -> None:
    first = scratch.plugin(MODEL.format(slug="same"))
    second = scratch.plugin(MODEL.format(slug="same"))
    registry = scratch.load()
    assert [plugin.slug for plugin in registry.plugins] == [first]
    assert registry.quarantined[0].reason == (
        f"plugin '{second}': its model 'same' has a name that {first} uses already. Rename it, for example {second}_same."
    )


def test_two_migrations_with_one_id_are_not_run(scratch: Scratch) -> None:
    slug = scratch.plugin(
        slug="scratch_history", files={"migrations/scratch_history_1.py": 'ID = "2026-11-23T10:00:00:000001"'}
    )
    scratch.listed = {"sample": "", slug: ""}
    assert "has the ID 2026-11-23T10:00:00:000001 of one of sample. Change the ID." in scratch.refusal()


def test_a_slug_of_core_is_refused(scratch: Scratch) -> None:
    scratch.plugin(slug="purchase")
    assert "plugin 'purchase': core uses this slug itself. Choose another slug" in scratch.refusal()


def test_a_listed_plugin_that_is_not_installed_is_refused(scratch: Scratch) -> None:
    scratch.listed["absent"] = ""
    assert scratch.refusal() == (
        "plugin 'absent': there is no package 'coursesignal_absent'. "
        "Install the distribution that has it, or take [plugins.absent] out of plugins.toml."
    )


def test_plugins_load_after_what_they_require_and_come_after(scratch: Scratch) -> None:
    last = scratch.plugin(slug="scratch_c", more='requires = ["scratch_b"]')
    middle = scratch.plugin(slug="scratch_b", more='after = ["scratch_a", "not_there"]')
    first = scratch.plugin(slug="scratch_a")
    assert [plugin.slug for plugin in scratch.load().plugins] == [first, middle, last]


def test_plugins_that_wait_for_each_other_are_refused_and_others_load(scratch: Scratch) -> None:
    scratch.plugin(slug="scratch_x", more='requires = ["scratch_y"]')
    scratch.plugin(slug="scratch_y", more='after = ["scratch_x"]')
    fine = scratch.plugin()
    registry = scratch.load()
    assert [plugin.slug for plugin in registry.plugins] == [fine]
    assert {q.slug for q in registry.quarantined} == {"scratch_x", "scratch_y"}
    for quarantined in registry.quarantined:
        assert "wait in a circle. Take one of them out of `requires` or `after`" in quarantined.reason


def test_what_requires_a_refused_plugin_is_refused_too(scratch: Scratch) -> None:
    broken = scratch.plugin("raise RuntimeError", slug="scratch_base")
    user = scratch.plugin(slug="scratch_user", more=f'requires = ["{broken}"]')
    reasons = {q.slug: q.reason for q in scratch.load().quarantined}
    assert f"it requires the plugin '{broken}', which could not be loaded. Mend {broken} first." in reasons[user]


def test_a_manifest_is_read_without_importing_the_plugin(scratch: Scratch) -> None:
    slug = scratch.plugin("raise AssertionError('imported')", manifest='slug = "{slug}"\napi = 99\n')
    assert "API 99" in scratch.refusal()
    assert f"coursesignal_{slug}" not in sys.modules


def test_an_unreadable_list_of_plugins_says_what_is_wrong_with_it(scratch: Scratch) -> None:
    path = scratch.plugins_file
    path.write_text('[host]\non_error = "ignore"\n')
    from coursesignal.plugins.registry import load_registry

    with pytest.raises(ConfigurationError, match=r"plugins.toml cannot be read: Invalid enum value 'ignore'"):
        load_registry(Settings(home=path.parent, plugins_file=path))


FAULTY_RULE = """
import time
calls = []
def applies(hit):
    calls.append(hit)
    {body}
@hookimpl
def register_channel_rules(): return [ChannelRule(slug="faulty", channel="Faulty", applies=applies)]
"""


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("raise ValueError('oops')", "it raised ValueError: oops; correct the plugin"),
        ("return 'yes'", "it returned str instead of True or False; correct the plugin"),
        ("time.sleep(0.06); return False", "it took 0.0"),
    ],
)
def test_a_faulty_channel_rule_stops_nothing_and_is_left_out_after_a_while(
    scratch: Scratch, caplog: pytest.LogCaptureFixture, body: str, what: str
) -> None:
    slug = scratch.plugin(FAULTY_RULE.format(body=body))
    (rule,) = scratch.load().channel_rules
    hit = Hit(source="", medium="", campaign="", referrer_host="", click_id="")
    assert [rule.applies(hit) for _ in range(9)] == [False] * 9
    assert len(sys.modules[f"coursesignal_{slug}"].calls) == 5
    assert f"plugin.error plugin={slug} what=channel_rule faulty: {what}" in caplog.messages[0]
    assert caplog.messages[-1] == f"plugin '{slug}': its channel rule faulty is left out for 60 s"


def test_starting_the_host_takes_well_under_a_second(scratch: Scratch) -> None:
    scratch.listed = {"kajabi": "", "teachable": "", "sample": ""}
    scratch.load()  # imports what the plugins import
    started = time.perf_counter()
    assert len(scratch.load().plugins) == 3
    assert time.perf_counter() - started < 0.5


@pytest.fixture
def cli(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(*words: str) -> Any:
        monkeypatch.setenv("COURSESIGNAL_PLUGINS_FILE", str(scratch.plugins_file))
        monkeypatch.setenv("COURSESIGNAL_HOME", str(scratch.folder / "home"))
        return CliRunner().invoke(main, list(words))

    return run


def test_the_command_line_lists_what_runs_and_what_does_not(scratch: Scratch, cli: Callable[..., Any]) -> None:
    scratch.listed["sample"] = ""
    broken = scratch.plugin("raise RuntimeError('no luck')")
    listed = cli("plugins", "list")
    assert listed.exit_code == 0, listed.output
    assert "loaded       sample" in listed.output
    assert f"quarantined  {broken}" in listed.output
    assert "no luck" in listed.output
    assert cli("plugins", "list", "--strict").exit_code == 1


def test_the_command_line_checks_a_plugin_that_is_not_listed(scratch: Scratch, cli: Callable[..., Any]) -> None:
    checked = cli("plugins", "check", "sample")
    assert checked.exit_code == 0, checked.output
    assert "fine   mail greeting with its example" in checked.output

    slug = scratch.plugin(
        '@hookimpl\ndef register_email_templates(): return [EmailTemplate(slug="m", subject="S", template="m")]',
        files={"templates/m.txt": "{{ absent }}"},
    )
    checked = cli("plugins", "check", slug)
    assert checked.exit_code == 1
    assert (
        f"plugin '{slug}': template {slug}/m.txt cannot be rendered: 'absent' is undefined. Correct it."
        in checked.output
    )
