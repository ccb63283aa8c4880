"""Who is behind a user agent: a person, a crawler, or somebody's automation.

Crawlers are told by the patterns of the maintained package ``is-bot``; the lists here correct it in both directions. Headless
browsers and command-line clients are told apart from crawlers, because people test their websites with them: whether they count
is the tenant's choice.
"""

from __future__ import annotations

import re
from functools import lru_cache

from is_bot import Bots
from ua_parser import parse

from coursesignal.tracking.reasons import DropReason

MAX_LENGTH = 512
REMEMBERED = 16_384

_HEADLESS = re.compile(r"\bHeadless(?:Chrome|Edg|Shell)?/", re.IGNORECASE)
_CLIENT = re.compile(
    r"^(?:curl|wget|httpie|python-(?:requests|httpx)|aiohttp|node|undici|postmanruntime|k6)(?:$|[ /(])|"
    r"^mozilla/\d\.\d(?: \(\w*\))?(?: [a-z]+)?$|^[\w-]*test[\w-]*(?:/[\d.]+)?$|^(?:a )?browser(?:/[\d.]+)?$",
    re.IGNORECASE,
)
# Automation that says whose it is.
_NAMES_ITSELF = re.compile(
    r"https?:|\.(?:com|org|net|io)\b|bot\b|crawl|spider|prerender|monitor|synthetics", re.IGNORECASE
)
# What is left of an Android browser's description when the phone's model is taken out: models are called Spider, Bot and Radar.
_ANDROID_MODEL = re.compile(
    r"\(Linux;[^()]*Android(?:(?!https?:|compatible|@|bot/|crawler|spider/)[^()])*\)?", re.IGNORECASE
)
# Other words of devices and apps that only sound like a crawler's: televisions, feature phones, browsers inside apps.
_OF_PEOPLE = re.compile(
    r"\bcubot\w*|sogou(?:mobilebrowser|mse|search)\S*|\.?catcher\d\S*|\blarge screen\b|webappmanager|ignition x|uoogou|offbyone|"
    r"chromeframe\S*|google ?(?:tv|earth|pixel|nexus)\S*|\w*_googletv\w*|\bradar\b|maui\W|http pgdl|\bwap[ -]browser|;\s*java\b|"
    r"\bandr0id [^)]*",
    re.IGNORECASE,
)
# Devices that give little more than their model: televisions, feature phones, watches, speakers.
_BARE_DEVICE = re.compile(
    r"^(?:(?:apple-)?i(?:phone|pad|pod)[\w ,./]*$|watch\d+,|(?:fban/|smarttv_|hbbtv/|sonos;|airplay/|roku|a/\d)|"
    r"(?:dv\(|pf\(|server-bag \[)|"
    r"(?:nokia|samsung|sec|sonyericsson|lg|mot|blackberry|zte|htc|huawei|alcatel|karbonn|spice|micromax|lava|gionee|fly|tianyu|"
    r"philips|sagem|siemens|sie|panasonic|sharp|toshiba|lenovo|coolpad|oppo|vivo|tianqin|itel|tecno|symphony|intex|celkon|"
    r"maxx|videocon|zen|xolo|haier|hisense|amoi|bird|dopod|eton|konka|k-touch|vodafone|o2|docomo|kddi|softbank|j-phone)[-_ /\w])",
    re.IGNORECASE,
)
# Crawlers that come in a phone's clothes say who they are behind it.
_CRAWLS_AS_A_PHONE = re.compile(
    r"(?:bot|spider|crawler|ichiro|gateway|indexing|agent)[^)]*https?:|\bbot(?:-mobile)?/\d|\w+bot-mobile/|googleweblight|-agent$|"
    r"http[^)]*/(?:crawler|bot|index)|symantecspider",
    re.IGNORECASE,
)
# What the package does not know.
_CRAWLERS = re.compile(
    r"uptime|copperegg|evc-batch|web ?thumb|websnapr|wkhtmlto|screenshot|webscreen|snapsearch|whatweb|webmon\b|yandex\.translate|"
    r"grub-client|htdig|b-?l-?i-?t-?z-?b-?o-?t|extractor|observatory/|siege/|kube-probe|kubectl/|mikrotik/|phantomjs|slimerjs|"
    r"zombie\.js|puppeteer|playwright|selenium|cypress/|bingpreview|binglocalsearch|criteo|classification|linkexaminer|"
    r"cerberian|fetch api|slurp|unshorten|google-read-aloud|duplexweb-google|storebot-google|"
    r"googleadsenseinfeed|google-publisher-plugin|catchpoint|"
    r"^(?:i2kconnect|gradle|twine|ureq|reactornetty|nyawc|memgator|redback|vyu2|sqworm|pizilla|page valet|znajdzfoto|"
    r"yaanb|caam)\b",
    re.IGNORECASE,
)
# Words that no phone's browser needs: with them a known phone is no excuse.
_UNLIKE_A_PHONE = re.compile(
    r"https?:|bot\b|bot[/_]|crawl|spider|slurp|fetch|scan|monitor|preview|thumb|check|valid|search\b|prerender|screenshot|\+|archive|"
    r"lighthouse|speed|audit|agent|cfnetwork|rss|weblight|synthetic|observatory|burp|compatible;|^[a-z]+[|,]",
    re.IGNORECASE,
)
_NO_MAKER = frozenset({None, "Generic", "Generic_Android", "Spider"})
_search = Bots().is_bot


@lru_cache(maxsize=REMEMBERED)
def automation(user_agent: str) -> DropReason | None:
    """What a user agent that is nobody's is: a crawler, a headless browser or a command-line client; None for a person's.

    An empty one says nothing, and counts as a person's.
    """
    text = user_agent[:MAX_LENGTH].strip()
    if not text:
        return None
    known = _HEADLESS.search(text) or _CLIENT.match(text)
    if known and not _NAMES_ITSELF.search(text):
        return DropReason.HTTP_CLIENT if known.re is _CLIENT else DropReason.HEADLESS
    if known or _CRAWLERS.search(text):
        return DropReason.BOT
    if _BARE_DEVICE.match(text):
        return DropReason.BOT if _CRAWLS_AS_A_PHONE.search(text) else None
    if not _search(_OF_PEOPLE.sub("", _ANDROID_MODEL.sub("(Linux; Android)", text))) or _is_phone(text):
        return None
    return DropReason.BOT


def _is_phone(text: str) -> bool:
    """Whether it names a phone or tablet of a known maker, and nothing that a crawler would say."""
    if _UNLIKE_A_PHONE.search(text):
        return False
    device = parse(text).device
    return device is not None and device.brand not in _NO_MAKER and device.family != "Mac"


def is_bot(user_agent: str) -> bool:
    """Whether the user agent is a crawler's or other automation's."""
    return automation(user_agent) is not None
