"""Which channel a touch belongs to: ordered rules, the first that applies decides.

GA4's default channel group (lists of 2023, the AI channel of 2026) with these differences: payment, login and own referrers never
get here; e-mail is asked before referral; Google or Bing with their own click id is paid search; a source that ends in "ad" or
"ads" is paid; "newsletter" is e-mail. A tenant's own rules and plugins' are asked before all of these.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from coursesignal.plugin import ChannelRule, Hit
from coursesignal.tracking.click_ids import CLICK_IDS
from coursesignal.tracking.known_sources import advertised, known_source
from coursesignal.tracking.origins import DIRECT, Origin, is_paid_click

logger = logging.getLogger(__name__)

UNASSIGNED = "Unassigned"

_PAID = re.compile(r".*cp.*|ppc|retargeting|paid.*")
_SHOP_NAME = re.compile(r"(.*(([^a-df-z]|^)shop|shopping).*)")
_EMAIL = re.compile(r"e[-_ ]?mail|newsletter")
_DISPLAY_MEDIA = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL_MEDIA = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_REFERRAL_MEDIA = frozenset({"referral", "app", "link"})


def is_paid(hit: Hit) -> bool:
    """Whether somebody paid for this touch, as far as it says."""
    return bool(_PAID.fullmatch(hit.medium)) or is_paid_click(hit.click_id) or advertised(hit.source) is not None


def _is(kind: str, hit: Hit) -> bool:
    place = known_source(hit.source) or advertised(hit.source)
    return place is not None and place.kind == kind


def _kind(kind: str) -> Callable[[Hit], bool]:
    return lambda hit: _is(kind, hit)


def _paid_kind(kind: str) -> Callable[[Hit], bool]:
    return lambda hit: _paid_medium(hit) and _is(kind, hit)


def _paid_medium(hit: Hit) -> bool:
    """Paid by its medium, by its source's name, or, without a medium, by its click id."""
    if _PAID.fullmatch(hit.medium) or advertised(hit.source) is not None:
        return True
    return not hit.medium and is_paid_click(hit.click_id) and _may_be_of(hit.click_id, hit.source)


def _may_be_of(click_id: str, source: str) -> bool:
    """Whether an ad with this click id can be the source's: Bing's own is no ad on DuckDuckGo."""
    place = known_source(source)
    return place is None or place.name == CLICK_IDS[click_id.lower()].source


def _says_nothing(hit: Hit) -> bool:
    return hit.source in (DIRECT, "(direct)") or not (hit.source or hit.campaign or hit.click_id)


def _is_site(hit: Hit) -> bool:
    """A source that is a website's name, and nothing says how people came from it."""
    return not hit.medium and ("." in hit.source or _is("site", hit))


def _shop(hit: Hit) -> bool:
    return _is("shopping", hit) or bool(_SHOP_NAME.fullmatch(hit.campaign.lower()))


def _rules(*rules: tuple[str, Callable[[Hit], bool]]) -> tuple[ChannelRule, ...]:
    return tuple(
        ChannelRule(slug=channel.lower().replace(" ", "-"), channel=channel, applies=applies, weight=number)
        for number, (channel, applies) in enumerate(rules, 1)
    )


CORE_RULES = _rules(
    ("Direct", lambda hit: _says_nothing(hit) and hit.medium in ("", "(none)", "(not set)")),
    ("Cross-network", lambda hit: "cross-network" in hit.campaign.lower()),
    ("Paid Shopping", lambda hit: _paid_medium(hit) and _shop(hit)),
    ("Paid Search", _paid_kind("search")),
    ("Paid Social", _paid_kind("social")),
    ("Paid Video", _paid_kind("video")),
    ("Display", lambda hit: hit.medium in _DISPLAY_MEDIA),
    ("Paid Other", _paid_medium),
    ("Organic Shopping", _shop),
    ("Organic Social", lambda hit: _is("social", hit) or hit.medium in _SOCIAL_MEDIA),
    ("Organic Video", lambda hit: _is("video", hit) or "video" in hit.medium),
    ("AI Assistant", lambda hit: hit.medium == "ai-assistant" or _is("ai", hit)),
    ("Organic Search", lambda hit: _is("search", hit) or hit.medium == "organic"),
    ("Email", lambda hit: _is("email", hit) or bool(_EMAIL.search(hit.source) or _EMAIL.search(hit.medium))),
    ("Referral", lambda hit: hit.medium in _REFERRAL_MEDIA or _is_site(hit)),
    ("Affiliates", lambda hit: hit.medium in ("affiliate", "affiliates")),
    ("Audio", lambda hit: hit.medium == "audio"),
    ("SMS", lambda hit: hit.source == "sms" or hit.medium == "sms"),
    (
        "Mobile Push",
        lambda hit: (
            hit.medium.endswith("push")
            or "mobile" in hit.medium
            or "notification" in hit.medium
            or hit.source == "firebase"
        ),
    ),
)
"""Core's rules in the order they are asked."""


def hit_of(origin: Origin) -> Hit:
    """What rules look at."""
    return Hit(
        source=origin.source.lower(),
        medium=origin.medium.lower(),
        campaign=origin.campaign,
        referrer_host=origin.referrer_host,
        click_id=origin.click_id_name.lower(),
    )


def ranked(rules: Sequence[ChannelRule]) -> tuple[ChannelRule, ...]:
    """The rules of a tenant and its plugins in the order they are asked, with core's after them."""
    return (*sorted(rules, key=lambda rule: (rule.weight, rule.slug)), *CORE_RULES)


def deciding_rule(hit: Hit, rules: Sequence[ChannelRule]) -> ChannelRule | None:
    """The first of the ``rules`` that applies; one that raises is passed over and logged."""
    for rule in rules:
        try:
            if rule.applies(hit):
                return rule
        except Exception:  # a plugin's rule must not stop the pipeline
            logger.exception("channel rule %r failed", rule.slug)
    return None


def channel_of(hit: Hit, rules: Sequence[ChannelRule] = ()) -> str:
    """The channel of the first rule that applies: a tenant's own first, then plugins', then core's."""
    rule = deciding_rule(hit, ranked(rules))
    return UNASSIGNED if rule is None else rule.channel
