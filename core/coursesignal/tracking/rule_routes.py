"""/api/tracking/channel-rules: a tenant's own channel rules and excluded referrers, tried out, written and applied to history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from coursesignal.auth.access import tenant as tenant_access
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import ChannelRule, Hit, Tenant
from coursesignal.tracking import rule_store
from coursesignal.tracking.channels import CORE_RULES, UNASSIGNED, deciding_rule, hit_of, ranked
from coursesignal.tracking.exclusions import EXCLUDED
from coursesignal.tracking.origins import read_origin
from coursesignal.tracking.own_rules import MAX_RULES, OwnRule, channel_rules
from coursesignal.tracking.rule_store import Application, RuleSet
from coursesignal.tracking.sites import host_names

READ = tenant_access("viewer", scope="tracking:read")
WRITE = tenant_access("admin", scope="tenant:write")
MAX_VERSIONS = 50

Hosts = Annotated[list[str], Meta(max_length=200, description="Host names; each includes its subdomains.")]
Value = Annotated[str, Meta(max_length=512)]
Address = Annotated[str, Meta(max_length=8192)]


class RulesIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The whole of the next version: rules in the order they are asked, referrers that bring nobody, and those of core's list
    that count all the same."""

    rules: Annotated[list[OwnRule], Meta(max_length=MAX_RULES)] = []
    excluded_referrers: Hosts = []
    counted_referrers: Hosts = []


class RulesOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The version in force, how far it is applied to history, and what holds besides it."""

    current: RuleSet
    core_channels: list[str]
    default_excluded_referrers: list[str]


class VersionsOut(msgspec.Struct, frozen=True):
    """The latest versions, the one in force first."""

    items: list[RuleSet]


class TrialIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A touch to try: a page's ``url`` and ``referrer``, or what was read from them; ``rules`` in place of those in force."""

    url: Address = ""
    referrer: Address = ""
    source: Value = ""
    medium: Value = ""
    campaign: Value = ""
    referrer_host: Value = ""
    click_id: Value = ""
    rules: Annotated[list[OwnRule], Meta(max_length=MAX_RULES)] | None = None


class TrialOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the touch belongs and which rule said so; ``rule`` is empty when none did."""

    channel: str
    decided_by: Literal["own", "plugin", "core", "none"]
    rule: str
    source: str
    medium: str
    campaign: str
    referrer_host: str
    click_id: str


@get("/", opt=READ, summary="The channel rules in force, and how far they are applied", operation_id="channelRules")
async def get_rules(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> RulesOut:
    async with db.tenant(tenant.id) as conn:
        return _shown(await rule_store.in_force(conn, tenant.id))


@get("/versions", opt=READ, summary="Earlier versions of the channel rules", operation_id="channelRuleVersions")
async def get_versions(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> VersionsOut:
    async with db.tenant(tenant.id) as conn:
        return VersionsOut(await rule_store.versions(conn, tenant.id, MAX_VERSIONS))


@get(
    "/application", opt=READ, summary="How far the rules are applied to history", operation_id="channelRuleApplication"
)
async def get_application(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> Application:
    async with db.tenant(tenant.id) as conn:
        return (await rule_store.in_force(conn, tenant.id)).application


@put("/", opt=WRITE, summary="Write the channel rules and apply them to history", operation_id="putChannelRules")
async def put_rules(
    data: JSONBody[RulesIn],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
) -> RulesOut:
    excluded = host_names(data.excluded_referrers, "excludedReferrers")
    counted = host_names(data.counted_referrers, "countedReferrers")
    async with db.tenant(tenant.id) as conn:
        return _shown(await rule_store.put(conn, tenant.id, caller, data.rules, excluded, counted))


@post(
    "/apply",
    opt=WRITE,
    status_code=202,
    summary="Apply the rules to history once more",
    operation_id="applyChannelRules",
)
async def apply_rules(
    db: NamedDependency[Database], tenant: NamedDependency[Tenant], caller: NamedDependency[Caller]
) -> RulesOut:
    async with db.tenant(tenant.id) as conn:
        return _shown(await rule_store.apply_again(conn, tenant.id, caller))


@post(
    "/test",
    opt=READ,
    status_code=200,
    summary="Try a touch: its channel, and the rule",
    operation_id="testChannelRules",
)
async def test_rules(
    data: JSONBody[TrialIn],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    plugin_channel_rules: NamedDependency[Sequence[ChannelRule]],
) -> TrialOut:
    async with db.tenant(tenant.id) as conn:
        own = await rule_store.rules_in_force(conn, tenant.id)
    hit = _hit(data, own)
    mine = own.channel_rules if data.rules is None else channel_rules(data.rules)
    rule = deciding_rule(hit, ranked((*mine, *plugin_channel_rules)))
    return TrialOut(
        channel=UNASSIGNED if rule is None else rule.channel,
        decided_by=_whose(rule, mine),
        rule="" if rule is None else rule.slug,
        source=hit.source, medium=hit.medium, campaign=hit.campaign, referrer_host=hit.referrer_host, click_id=hit.click_id,
    )  # fmt: skip


def _hit(data: TrialIn, own: rule_store.InForce) -> Hit:
    """What the rules look at: read from the addresses when there are any, else as given."""
    if data.url or data.referrer:
        return hit_of(read_origin(data.url, data.referrer, own.excluded_referrers, own.counted_referrers))
    given = (data.source, data.medium, data.referrer_host, data.click_id)
    source, medium, referrer_host, click_id = (value.strip().lower() for value in given)
    return Hit(source=source, medium=medium, campaign=data.campaign, referrer_host=referrer_host, click_id=click_id)


def _whose(rule: ChannelRule | None, mine: Sequence[ChannelRule]) -> Literal["own", "plugin", "core", "none"]:
    if rule is None:
        return "none"
    if rule in CORE_RULES:
        return "core"
    return "own" if rule in mine else "plugin"


def _shown(rules: RuleSet) -> RulesOut:
    return RulesOut(
        current=rules,
        core_channels=[*(rule.channel for rule in CORE_RULES), UNASSIGNED],
        default_excluded_referrers=sorted(EXCLUDED),
    )


ROUTES = [
    Router(
        "/api/tracking/channel-rules",
        route_handlers=[get_rules, get_versions, get_application, put_rules, apply_rules, test_rules],
        tags=["Channel rules"],
    )
]
