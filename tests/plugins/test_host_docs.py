"""What is promised to plugin authors is written down: every hook, every public name, every key of the manifest."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import coursesignal
from coursesignal import events, plugin
from coursesignal.plugins import hookspecs
from coursesignal.plugins.manifest import Manifest

DOCS = Path(coursesignal.__file__).parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "coursesignal_spec")}

PUBLIC = """
API_VERSION PROJECT Account AddressRefused Advice AttributionModel AuthFailed BaseContext Capabilities ChannelRule
Charge ChargeKind CohortCell CohortReport Command Conflict Connected Connection ConnectionContext Connector
ConsentConnector ConsentRequest Contact ContentReport Context CoverageReport CredentialsRejected Cron DailyReport
DrilldownReport EmailTemplate Exporter FieldError FittedAttributionModel ForeignKey FunnelReport GoalReport Gone Hit
HostRefused Invalid Item Job JourneyBucket JourneysReport LifetimeReport ModelComparison NavItem NavLink
NewReturningReport NoSettings NotFound Notices Page Panel PanelLink PasswordRequired PasswordWrong
PathRecord Permission Plan PlansReport PlatformEvent
PluginError ProductsReport PurchaseDetail PurchaseFacts RecentPurchases Recommendation RecommendationRule RefundTotal
ReportPeriod Reports Routes Secret SelfReportedReport Settings SetupState Share ShareLink
Shares Shell SourcesReport StudentsReport Summary
Tenant TenantDb TenantLink TooLittleData Touch Unavailable WebhookRejected WebhookRequest decimal_amount hookimpl
migration tenant_table uuid7
"""
"""What plugins may import from coursesignal.plugin. Adding a name is a promise; taking one away breaks plugins."""


def _documented_hooks() -> dict[str, str]:
    """Hook name and its line in hooks.md."""
    rows = re.findall(r"^\| `(\w+)(?:\([^)]*\))?` \| (.+) \|$", (DOCS / "hooks.md").read_text(), re.MULTILINE)
    return dict(rows)


def test_every_hook_is_documented_and_every_documented_hook_exists() -> None:
    assert set(_documented_hooks()) == set(HOOKS)


def test_hooks_are_of_three_kinds_and_each_event_has_one() -> None:
    event_hooks = {event.name for event in events.EVENTS}
    assert set(HOOKS) == set(hookspecs.REGISTRATION) | event_hooks | set(hookspecs.LIFECYCLE)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_what_it_is_for_and_has_full_types(name: str) -> None:
    spec = HOOKS[name]
    assert inspect.getdoc(spec)
    signature = inspect.signature(spec)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    if name not in hookspecs.REGISTRATION:
        shown = ", ".join(signature.parameters)
        assert (
            name in {event.name for event in events.EVENTS} or f"`{name}({shown})`" in (DOCS / "hooks.md").read_text()
        )


def test_every_event_says_what_happened_and_is_in_the_list() -> None:
    classes = {
        c
        for c in vars(events).values()
        if isinstance(c, type) and issubclass(c, events.Event) and c is not events.Event
    }
    assert classes == set(events.EVENTS)
    documented = _documented_hooks()
    for event in events.EVENTS:
        assert inspect.getdoc(event)
        assert f"`{event.__name__}`" in documented[event.name]


def test_the_public_names_are_those_that_were_promised() -> None:
    assert set(plugin.__all__) == set(PUBLIC.split())
    assert all(hasattr(plugin, name) for name in plugin.__all__)


@pytest.mark.parametrize("name", [n for n in plugin.__all__ if inspect.isclass(getattr(plugin, n))])
def test_a_public_class_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(plugin, name))


def test_every_key_of_the_manifest_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (DOCS / "manifest.md").read_text(), re.MULTILINE)
    assert documented == list(Manifest.__struct_fields__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((\w[\w.-]*\.md)", page.read_text()):
        assert (DOCS / target).is_file(), f"{page.name} links to {target}"


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((\w[\w.-]*\.md)", (DOCS / "index.md").read_text()))
    assert linked == {page.name for page in PAGES} - {"index.md"}


def test_every_contract_is_documented() -> None:
    from coursesignal.testing import contracts

    offered = {name for name in vars(contracts) if name.endswith("Contract")}
    assert offered == set(re.findall(r"`(\w+Contract)`", (DOCS / "testing.md").read_text()))
