"""GA4's default channel group rule by rule, and our named differences: source | medium | campaign → channel."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from coursesignal.tracking.channels import channel_of, hit_of
from coursesignal.tracking.data import sections
from coursesignal.tracking.known_sources import known_host, known_source
from coursesignal.tracking.origins import read_origin

TABLE = """
# Direct: no source and no medium, spelled in the ways there are
||                                          | Direct
(direct)|(none)|                            | Direct
(direct)|(not set)|                         | Direct
(direct)||                                  | Direct
# Cross-network: the campaign contains it, whatever else is said
google|cpc|cross-network                    | Cross-network
partner|email|spring-cross-network-2        | Cross-network
amazon|cpc|Cross-Network                    | Cross-network
||cross-network                             | Cross-network
# Paid Shopping: a shop, or a campaign that says "shop", and a paid medium
amazon|cpc|                                 | Paid Shopping
amazon.de|ppc|                              | Paid Shopping
ebay|retargeting|                           | Paid Shopping
etsy|paid|                                  | Paid Shopping
walmart|cpm|                                | Paid Shopping
alibaba|paid-listing|                       | Paid Shopping
google shopping|cpc|                        | Paid Shopping
partner|cpc|shop                            | Paid Shopping
partner|cpc|our-shop-sale                   | Paid Shopping
partner|cpc|Shopping week                   | Paid Shopping
google|cpc|shopping                         | Paid Shopping
facebook|cpc|web_shop                       | Paid Shopping
# … but of the letters only e may stand before "shop": a workshop is none
partner|cpc|eshop                           | Paid Shopping
partner|cpc|2shop                           | Paid Shopping
partner|cpc|workshop                        | Paid Other
partner|cpc|bishops                         | Paid Other
google|cpc|drawing-workshop                 | Paid Search
partner||photoshop                          | Unassigned
# Paid Search: a search engine and a paid medium
google|cpc|                                 | Paid Search
google|ppc|                                 | Paid Search
google|cpm|                                 | Paid Search
google|paid|                                | Paid Search
google|paidsearch|                          | Paid Search
google|retargeting|                         | Paid Search
bing|cpc|brand                              | Paid Search
duckduckgo|paid_search|                     | Paid Search
yahoo|cpv|                                  | Paid Search
baidu|cpa|                                  | Paid Search
yandex|cpc|                                 | Paid Search
ecosia.org|cpc|                             | Paid Search
uk.search.yahoo.com|cpc|                    | Paid Search
m.naver.com|cpc|                            | Paid Search
# Paid Social
facebook|cpc|                               | Paid Social
facebook|paid|                              | Paid Social
facebook|paidsocial|                        | Paid Social
facebook|paid-social|                       | Paid Social
fb|cpm|                                     | Paid Social
ig|cpc|                                     | Paid Social
instagram|paid_social|                      | Paid Social
l.instagram.com|ppc|                        | Paid Social
linkedin|cpc|                               | Paid Social
twitter|cpe-cpc|                            | Paid Social
pinterest|cpc|                              | Paid Social
reddit|retargeting|                         | Paid Social
tiktok|paid|                                | Paid Social
quora.com|cpc|                              | Paid Social
snapchat|cpc|                               | Paid Social
# Paid Video
youtube|cpc|                                | Paid Video
youtube|cpv-cpm|                            | Paid Video
youtube.com|paid-something|                 | Paid Video
vimeo|ppc|                                  | Paid Video
twitch.tv|cpm|                              | Paid Video
dailymotion|paid|                           | Paid Video
# Display: five media, where the source is no listed one with a paid medium
partner|display|                            | Display
google|display|                             | Display
youtube|display|                            | Display
partner|banner|                             | Display
partner|expandable|                         | Display
partner|interstitial|                       | Display
partner|cpm|                                | Display
facebook|banner|                            | Display
# Paid Other: a paid medium of anybody
partner|cpc|                                | Paid Other
partner|ppc|                                | Paid Other
partner|paid|                               | Paid Other
partner|paid-placement|                     | Paid Other
partner|retargeting|                        | Paid Other
partner|cpl|                                | Paid Other
partner|ecpc|                               | Paid Other
newsletter|cpc|                             | Paid Other
outbrain|paid|                              | Paid Other
chatgpt.com|cpc|                            | Paid Other
# A paid medium is the whole word at its start or "cp" anywhere: these are none
google|unpaid|                              | Organic Search
partner|ppc2|                               | Unassigned
partner|re-targeting|                       | Unassigned
# Organic Shopping
amazon||                                    | Organic Shopping
amazon.co.uk|referral|                      | Organic Shopping
ebay|organic|                               | Organic Shopping
etsy.com||                                  | Organic Shopping
igshopping|social|                          | Organic Shopping
google shopping||                           | Organic Shopping
shopify|link|                               | Organic Shopping
partner||shop                               | Organic Shopping
partner|email|christmas-shop                | Organic Shopping
partner|referral|shopping-guide             | Organic Shopping
simplycodes.com||                           | Organic Shopping
# Organic Social: a network, or one of six media
facebook||                                  | Organic Social
facebook|referral|                          | Organic Social
facebook|organic|                           | Organic Social
fb|post|                                    | Organic Social
ig|bio|                                     | Organic Social
instagram|story|                            | Organic Social
linkedin|email|                             | Organic Social
threads||                                   | Organic Social
bluesky||                                   | Organic Social
whatsapp||                                  | Organic Social
t.co|referral|                              | Organic Social
hatena||                                    | Organic Social
partner|social|                             | Organic Social
partner|social-network|                     | Organic Social
partner|social-media|                       | Organic Social
partner|sm|                                 | Organic Social
partner|social network|                     | Organic Social
partner|social media|                       | Organic Social
google|social|                              | Organic Social
alumniclass|referral|                       | Organic Social
newsshowcase||                              | Organic Social
sites.google.com|referral|                  | Organic Social
vg.no|referral|                             | Organic Social
# Organic Video: a video place, or a medium that contains "video"
youtube||                                   | Organic Video
youtube|organic|                            | Organic Video
youtube.com|referral|                       | Organic Video
m.youtube.com|referral|                     | Organic Video
vimeo|link|                                 | Organic Video
twitch||                                    | Organic Video
netflix|referral|                           | Organic Video
partner|video|                              | Organic Video
partner|online-video|                       | Organic Video
google|video|                               | Organic Video
# AI Assistant, before search and referral
chatgpt.com||                               | AI Assistant
chatgpt|referral|                           | AI Assistant
claude.ai|referral|                         | AI Assistant
perplexity|organic|                         | AI Assistant
gemini.google.com|referral|                 | AI Assistant
copilot.microsoft.com||                     | AI Assistant
partner|ai-assistant|                       | AI Assistant
deepseek|referral|                          | AI Assistant
# Organic Search
google||                                    | Organic Search
google|organic|                             | Organic Search
google|referral|                            | Organic Search
bing||                                      | Organic Search
duckduckgo|referral|                        | Organic Search
yahoo|organic|                              | Organic Search
cn.bing.com||                               | Organic Search
partner|organic|                            | Organic Search
startpage.com||                             | Organic Search
news.google.com|referral|                   | Organic Search
# Email, before referral: e-mail in any spelling, in source or medium
partner|email|                              | Email
partner|e-mail|                             | Email
partner|e_mail|                             | Email
partner|e mail|                             | Email
partner|weekly-email|                       | Email
email||                                     | Email
e-mail||                                    | Email
e_mail|something|                           | Email
email-list|referral|                        | Email
mail.google.com|referral|                   | Email
newsletter||                                | Email
partner|newsletter|                         | Email
newsletter|link|                            | Email
mail.yandex.ru|referral|                    | Email
# Referral: three media, or a website and nothing else
partner|referral|                           | Referral
partner|app|                                | Referral
partner|link|                               | Referral
blog.example.org||                          | Referral
wikipedia||                                 | Referral
# Affiliates, Audio, SMS
partner|affiliate|                          | Affiliates
partner|affiliates|                         | Affiliates
jane.example|affiliate|                     | Affiliates
partner|audio|                              | Audio
podcast|audio|                              | Audio
sms||                                       | SMS
partner|sms|                                | SMS
sms|broadcast|                              | SMS
# Mobile Push: ends with push, contains mobile or notification, or firebase
partner|push|                               | Mobile Push
partner|app-push|                           | Mobile Push
partner|webpush|                            | Mobile Push
partner|mobile|                             | Mobile Push
partner|mobile-app|                         | Mobile Push
partner|push_notification|                  | Mobile Push
partner|notifications|                      | Mobile Push
firebase||                                  | Mobile Push
firebase|broadcast|                         | Mobile Push
# Unassigned: somebody said something that no rule knows
partner|collab|                             | Unassigned
partner||                                   | Unassigned
partner|push-button|                        | Unassigned
partner|qr|flyer                            | Unassigned
# Ours: a source that says it is advertising is paid
facebook-ads||                              | Paid Social
fb_ads||                                    | Paid Social
fbad||                                      | Paid Social
facebook_feed_ad||                          | Paid Social
googleads||                                 | Paid Search
google ads||                                | Paid Search
gads||                                      | Paid Search
adwords||                                   | Paid Search
microsoft ads||                             | Paid Search
yt-ads||                                    | Paid Video
reddit-ads||                                | Paid Social
downloads||                                 | Unassigned
"""
CASES = [
    tuple(part.strip() for part in line.split("|"))
    for line in TABLE.strip().splitlines()
    if line and not line.startswith("#")
]


def channel_said(source: str, medium: str, campaign: str) -> str:
    said = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign}
    query = urlencode({name: value for name, value in said.items() if value})
    return channel_of(hit_of(read_origin(f"https://www.example.com/courses?{query}", "", ())))


@pytest.mark.parametrize(("source", "medium", "campaign", "expected"), CASES)
def test_every_rule_of_the_channel_group_as_it_is_written(
    source: str, medium: str, campaign: str, expected: str
) -> None:
    assert channel_said(source, medium, campaign) == expected
    assert channel_said(source.upper(), medium.upper(), campaign) == expected


def test_the_table_asks_every_channel_and_is_not_a_handful() -> None:
    assert len(CASES) >= 190
    assert len({expected for *_, expected in CASES}) == 20


@pytest.mark.parametrize("list_name", ["known_sources.txt", "more_sources.txt"])
def test_every_host_of_our_lists_is_found_as_a_referrer_and_as_a_source(list_name: str) -> None:
    lists = sections(list_name)
    hosts = {(host, kind) for kind, lines in lists.items() for line in lines for host in line.split() if "." in host}
    for host, _ in hosts:
        found = known_host(host)
        assert found is not None and found == known_source(host), host
        assert found.kind in lists, host
    assert sum(known_host(host).kind == kind for host, kind in hosts) >= 0.99 * len(hosts)  # type: ignore[union-attr]


def test_a_name_of_one_word_stands_for_its_host_only_where_it_says_enough() -> None:
    assert known_source("classquest") == known_host("classquest.com")
    assert known_source("info") is None and known_host("info.com") is not None
    assert known_source("deluxe") is None and known_host("deluxe.com") is not None
