"""Where a visit came from, read on the server from the page's address and its referrer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from coursesignal.tracking.click_ids import CLICK_IDS, ClickId, first_click_id
from coursesignal.tracking.exclusions import brought_nobody
from coursesignal.tracking.known_sources import Known, advertised, known_host, known_source
from coursesignal.tracking.urls import host_of, parameters, path_of, spelling, without_www

MAX_VALUE = 512
DIRECT = "direct"
NOT_SET = "(not set)"

_MEDIUM_OF_KIND = {
    "search": "organic",
    "social": "social",
    "video": "video",
    "shopping": "referral",
    "ai": "ai-assistant",
    "email": "email",
    "site": "referral",
}
_ALIASES = {
    "source": ("htrafficsource", "utm_source_platform"),
    "campaign": ("utm_id", "mtm_cid", "pk_cid"),
    "content": ("el", "utm_creative_format"),
    "term": ("mtm_keyword", "mtm_kwd", "pk_keyword", "pk_kwd"),
}
"""Other parameters that say what a UTM parameter says: Matomo's, Hyros's, and UTM's own newer ones."""
_META_APPS = frozenset({"facebook", "instagram", "threads"})
_NO_MEDIUM = frozenset({"", "(none)", "(not set)", "none"})


@dataclass(frozen=True, slots=True)
class Origin:
    """One marketing source as it was seen; ``referrer`` is empty when it was a page of our own, a payment or a login."""

    source: str = DIRECT
    medium: str = ""
    campaign: str = ""
    content: str = ""
    term: str = ""
    click_id_name: str = ""
    click_id: str = ""
    referrer: str = ""
    referrer_host: str = ""

    @property
    def is_direct(self) -> bool:
        return self.source == DIRECT

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Equal for the same marketing source: what the five UTM parameters say."""
        return (self.source, self.medium, self.campaign, self.content, self.term)


_DIRECT = Origin()


def read_origin(url: str, referrer: str, own_hosts: Sequence[str], counted: Collection[str] = frozenset()) -> Origin:
    """The origin of a page view.

    Explicit UTM parameters win; click ids and then the referrer fill what they leave open. A referrer that is the site itself, a
    payment page or a login counts as none, unless it is one of those ``counted``.
    """
    if not url and not referrer:
        return _DIRECT
    if referrer and brought_nobody(referrer, host_of(url), own_hosts, counted):
        referrer = ""
    given = parameters(url) if "=" in url else {}
    if not given and not referrer:
        return _DIRECT
    return _combine(url, given, referrer)


def _combine(url: str, given: Mapping[str, str], referrer: str) -> Origin:
    source, medium = _utm(given, "source").lower(), _utm(given, "medium").lower()
    campaign, content, term = _utm(given, "campaign"), _utm(given, "content"), _utm(given, "term")
    click = first_click_id(given)
    host = without_www(host_of(referrer))
    known = known_host(host, path_of(referrer)) if host else None
    if source in ("", "(direct)") and (click is None or not click[1].paid):
        alias = _alias(given)
        source, medium = alias or source, medium or _medium_of_alias(alias, click)
    if source in ("", "(direct)") and medium in _NO_MEDIUM and not campaign and click is None:
        source, medium = _from_referrer(host, known)
    elif not source or source == "(direct)":
        source, medium = _fill_source(medium, click, host, known)
    elif not medium and click is not None:
        medium = _medium_of_same_place(source, click[1])
    if source in ("", DIRECT, "(direct)"):
        source, medium = (DIRECT, "") if medium in _NO_MEDIUM else (NOT_SET, medium)
    name, value = _stored_click_id(url, given, click)
    return Origin(source[:MAX_VALUE], medium[:MAX_VALUE], campaign, content, term, name, value, referrer, host)


def _utm(given: Mapping[str, str], what: str) -> str:
    """A UTM parameter, or Matomo's of the same meaning."""
    for prefix in ("utm_", "mtm_", "pk_"):
        value = given.get(prefix + what)
        if value:
            return value[:MAX_VALUE]
    return next((given[name][:MAX_VALUE] for name in _ALIASES.get(what, ()) if given.get(name)), "")


def _alias(given: Mapping[str, str]) -> str:
    """What ?ref= and its like name as the source; weaker than a UTM parameter and than the proof of an ad."""
    return next((given[name].lower()[:MAX_VALUE] for name in ("ref", "source", "via") if given.get(name)), "")


def _medium_of_alias(alias: str, click: tuple[str, ClickId] | None) -> str:
    """How somebody came from a place that only a loose parameter names."""
    if not alias:
        return ""
    if click is not None and (medium := _medium_of_same_place(alias, click[1])):
        return medium
    place = known_source(alias)
    return _MEDIUM_OF_KIND[place.kind] if place else "referral"


def _from_referrer(host: str, known: Known | None) -> tuple[str, str]:
    """Source and medium when no parameter says anything."""
    if known is not None:
        return known.name, _MEDIUM_OF_KIND[known.kind]
    return (host, "referral") if host else (DIRECT, "")


def _fill_source(medium: str, click: tuple[str, ClickId] | None, host: str, known: Known | None) -> tuple[str, str]:
    """The source, from a click id, else from the referrer; an explicit medium stays."""
    if click is not None:
        source, filled = click[1].source, click[1].medium
        if source == "facebook" and known is not None and known.name in _META_APPS:
            source = known.name  # Instagram and Threads add fbclid too
        return source, medium or filled
    if known is not None:
        return known.name, medium or _MEDIUM_OF_KIND[known.kind]
    return (host, medium or "referral") if host else (NOT_SET, medium)


def _medium_of_same_place(source: str, click: ClickId) -> str:
    """The click id's medium when source and click id name the same place; ?utm_source=newsletter&fbclid=… says nothing."""
    place = known_source(source) or advertised(source)
    name = place.name if place else source
    same = name == click.source or (click.source == "facebook" and name in _META_APPS)
    return click.medium if same else ""


def _stored_click_id(url: str, given: Mapping[str, str], click: tuple[str, ClickId] | None) -> tuple[str, str]:
    """Name and value to keep, exactly as they came; a value that identifies a person is not kept."""
    if click is None:
        return "", ""
    name, click_id = click
    return spelling(url, name), "" if click_id.personal else given[name][:MAX_VALUE]


def is_paid_click(click_id_name: str) -> bool:
    """Whether this click id alone proves an ad."""
    click_id = CLICK_IDS.get(click_id_name.lower())
    return click_id is not None and click_id.paid
