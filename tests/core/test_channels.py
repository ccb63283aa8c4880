"""From addresses and referrers to sources and channels: our own cases, written from the rules and not from the code."""

from __future__ import annotations

import pytest

from coursesignal.plugin import ChannelRule, Hit
from coursesignal.tracking.channels import UNASSIGNED, channel_of, hit_of, is_paid
from coursesignal.tracking.origins import Origin, read_origin
from coursesignal.tracking.urls import registrable, strip_personal

PAGE = "https://www.example.com/courses"


def visit(query: str = "", referrer: str = "", own_hosts: tuple[str, ...] = ()) -> Origin:
    return read_origin(PAGE + query, referrer, own_hosts)


def channel(query: str = "", referrer: str = "") -> str:
    return channel_of(hit_of(visit(query, referrer)))


@pytest.mark.parametrize(
    ("query", "referrer", "expected"),
    [
        ("", "", "Direct"),
        ("?page=2", "", "Direct"),
        ("?utm_source=(direct)&utm_medium=(none)", "", "Direct"),
        ("?utm_source=google&utm_medium=cpc&utm_campaign=cross-network", "", "Cross-network"),
        ("?utm_source=amazon&utm_medium=cpc", "", "Paid Shopping"),
        ("?utm_source=google&utm_medium=cpc&utm_campaign=spring-shopping", "", "Paid Shopping"),
        ("?utm_source=google&utm_medium=cpc&utm_campaign=my-shop", "", "Paid Shopping"),
        ("?utm_source=google&utm_medium=cpc&utm_campaign=workshop", "", "Paid Search"),
        ("?utm_source=google&utm_medium=cpc", "", "Paid Search"),
        ("?utm_source=bing&utm_medium=ppc", "", "Paid Search"),
        ("?utm_source=facebook&utm_medium=paidsocial", "", "Paid Social"),
        ("?utm_source=fb&utm_medium=cpm", "", "Paid Social"),
        ("?utm_source=ig&utm_medium=paid", "", "Paid Social"),
        ("?utm_source=youtube&utm_medium=cpv", "", "Paid Video"),
        ("?utm_source=youtube&utm_medium=cpc", "", "Paid Video"),
        ("?utm_source=somewhere&utm_medium=display", "", "Display"),
        ("?utm_source=somewhere&utm_medium=banner", "", "Display"),
        ("?utm_source=somewhere&utm_medium=cpc", "", "Paid Other"),
        ("?utm_source=somewhere&utm_medium=retargeting", "", "Paid Other"),
        ("", "https://www.etsy.com/listing/1", "Organic Shopping"),
        ("", "https://l.facebook.com/l.php?u=x", "Organic Social"),
        ("", "https://t.co/abc", "Organic Social"),
        ("?utm_source=partner&utm_medium=social-media", "", "Organic Social"),
        ("", "https://www.youtube.com/watch?v=abc", "Organic Video"),
        ("?utm_source=youtube", "", "Organic Video"),
        ("?utm_source=partner&utm_medium=online_video", "", "Organic Video"),
        ("", "https://fast.wistia.net/embed/iframe/1", "Organic Video"),
        ("", "https://chatgpt.com/", "AI Assistant"),
        ("?utm_source=chatgpt.com", "", "AI Assistant"),
        ("", "https://www.perplexity.ai/search/x", "AI Assistant"),
        ("", "https://gemini.google.com/app", "AI Assistant"),
        ("", "https://copilot.microsoft.com/", "AI Assistant"),
        ("", "https://www.google.com/", "Organic Search"),
        ("", "https://www.google.co.uk/", "Organic Search"),
        ("", "https://duckduckgo.com/?q=x", "Organic Search"),
        ("", "android-app://com.google.android.googlequicksearchbox/", "Organic Search"),
        ("?utm_source=partner&utm_medium=organic", "", "Organic Search"),
        ("", "https://blog.example.org/best-courses", "Referral"),
        ("", "https://docs.google.com/document/d/1", "Referral"),
        ("?utm_source=partner&utm_medium=referral", "", "Referral"),
        ("?utm_source=newsletter", "", "Email"),
        ("?utm_source=convertkit&utm_medium=email", "", "Email"),
        ("?utm_source=list&utm_medium=e-mail", "", "Email"),
        ("?utm_source=E_mail", "", "Email"),
        ("", "https://mail.google.com/mail/u/0", "Email"),
        ("", "android-app://com.google.android.gm/", "Email"),
        ("?utm_source=jane&utm_medium=affiliate", "", "Affiliates"),
        ("?utm_source=podcast&utm_medium=audio", "", "Audio"),
        ("?utm_source=sms", "", "SMS"),
        ("?utm_source=app&utm_medium=webpush", "", "Mobile Push"),
        ("?utm_source=firebase", "", "Mobile Push"),
        ("?utm_source=partner&utm_medium=collab", "", UNASSIGNED),
        ("?utm_medium=cpc", "", "Paid Other"),
        ("?utm_campaign=Cross-Network", "", "Cross-network"),
        ("?utm_campaign=shop", "", "Organic Shopping"),
        ("?utm_medium=paid", "https://duckduckgo.com/", "Paid Search"),
        ("?utm_medium=paid", "https://www.tiktok.com/", "Paid Social"),
        ("?utm_source=GOOGLE&utm_medium=CPC", "", "Paid Search"),
        ("?utm_source=google&utm_medium=display&gclid=1", "", "Display"),
        ("?utm_source=xing", "", "Organic Social"),
        ("?utm_source=Hacker%20News", "", "Organic Social"),
        ("?utm_source=microsoft%20teams", "", "Organic Social"),
        ("?utm_source=bilibili.com", "", "Organic Video"),
        ("?utm_source=aliexpress", "", "Organic Shopping"),
        ("?utm_source=rakuten.co.jp", "", "Organic Search"),
        ("?utm_source=wikipedia", "", "Referral"),
        ("?utm_source=list&utm_medium=e%20mail", "", "Email"),
        ("?utm_source=app&utm_medium=mobile_notification", "", "Mobile Push"),
        ("", "https://www.google.com.au/", "Organic Search"),
        ("", "https://www.google.de/imgres?q=x", "Organic Search"),
        ("", "https://uk.search.yahoo.com/search", "Organic Search"),
        ("", "https://yandex.kz/search", "Organic Search"),
        ("", "https://search.marginalia.nu/search", "Organic Search"),
        ("", "https://go.mail.ru/search?q=x", "Organic Search"),
        ("", "https://away.vk.com/away.php", "Organic Social"),
        ("", "https://www.pinterest.hu/", "Organic Social"),
        ("", "https://chaos.social/@pat", "Organic Social"),
        ("", "https://mastodon.example.org/", "Organic Social"),
        ("", "https://statics.teams.cdn.office.net/", "Organic Social"),
        ("", "https://en.m.wikipedia.org/wiki/Drawing", "Referral"),
        ("", "https://www.amazon.pl/", "Organic Shopping"),
        ("", "https://amazon.evil.example/", "Referral"),
        ("", "https://finance.yahoo.com/", "Referral"),
        ("", "https://mail.yahoo.com/d/folders/1", "Email"),
        ("", "https://webmail.example.org/", "Email"),
        ("", "https://orange.fr/webmail/fr_FR/read.html", "Email"),
        ("", "https://pplx.ai/x", "AI Assistant"),
        ("", "https://character.ai/chat", "AI Assistant"),
        ("", "android-app://com.slack/", "Organic Social"),
        ("", "android-app://com.microsoft.copilot/", "AI Assistant"),
        ("", "android-app://org.example.reader/", "Referral"),
    ],
)
def test_every_kind_of_visit_lands_in_its_channel(query: str, referrer: str, expected: str) -> None:
    assert channel(query, referrer) == expected


@pytest.mark.parametrize(
    ("query", "referrer", "source", "medium", "expected"),
    [
        ("?gclid=AbC", "https://www.google.com/", "google", "cpc", "Paid Search"),
        ("?GCLID=AbC", "", "google", "cpc", "Paid Search"),
        ("?wbraid=1", "", "google", "cpc", "Paid Search"),
        ("?dclid=1", "", "google", "display", "Display"),
        ("?msclkid=1", "", "bing", "cpc", "Paid Search"),
        ("?rdt_cid=1", "", "reddit", "cpc", "Paid Social"),
        ("?ScCid=1", "", "snapchat", "cpc", "Paid Social"),
        ("?fbclid=1", "", "facebook", "social", "Organic Social"),
        ("?fbclid=1", "https://l.instagram.com/", "instagram", "social", "Organic Social"),
        ("?fbclid=1&utm_medium=cpc", "", "facebook", "cpc", "Paid Social"),
        ("?ttclid=1", "", "tiktok", "social", "Organic Social"),
        ("?li_fat_id=1", "", "linkedin", "social", "Organic Social"),
        ("?twclid=1", "", "x", "social", "Organic Social"),
        ("?epik=1", "", "pinterest", "social", "Organic Social"),
        ("?igshid=1", "", "instagram", "social", "Organic Social"),
        ("?mc_cid=1", "", "mailchimp", "email", "Email"),
        ("?_kx=1", "", "klaviyo", "email", "Email"),
        ("?irclickid=1", "", "impact", "affiliate", "Affiliates"),
        ("?gbraid=1", "", "google", "cpc", "Paid Search"),
        ("?gad_source=1&gad_campaignid=2", "", "google", "cpc", "Paid Search"),
        ("?qclid=1", "", "quora", "cpc", "Paid Social"),
        ("?yclid=1", "", "yandex", "cpc", "Paid Search"),
        ("?obclid=1", "", "outbrain", "display", "Display"),
        ("?tblci=1", "", "taboola", "display", "Display"),
        ("?s_kwcid=1", "", "adobe", "cpc", "Paid Other"),
        ("?sscid=1", "", "shareasale", "affiliate", "Affiliates"),
        ("?_hsmi=1", "", "hubspot", "email", "Email"),
        ("?ck_subscriber_id=1", "", "kit", "email", "Email"),
    ],
)
def test_a_click_id_says_where_the_click_came_from(
    query: str, referrer: str, source: str, medium: str, expected: str
) -> None:
    origin = visit(query, referrer)
    assert (origin.source, origin.medium, channel(query, referrer)) == (source, medium, expected)


def test_explicit_utm_parameters_win_over_click_ids_and_referrers() -> None:
    origin = visit("?utm_source=newsletter&utm_medium=email&gclid=AbC", "https://www.google.com/")
    assert (origin.source, origin.medium, origin.click_id_name, origin.click_id) == (
        "newsletter",
        "email",
        "gclid",
        "AbC",
    )


def test_a_click_id_fills_the_medium_only_for_its_own_platform() -> None:
    assert visit("?utm_source=google&gclid=1").medium == "cpc"
    assert visit("?utm_source=newsletter&fbclid=1").medium == ""


def test_click_ids_and_campaigns_keep_their_case_while_sources_do_not() -> None:
    origin = visit("?utm_source=YouTube&utm_medium=Video&utm_campaign=Spring%20LAUNCH&gclid=AbC-dEf_9")
    assert (origin.source, origin.medium) == ("youtube", "video")
    assert (origin.campaign, origin.click_id) == ("Spring LAUNCH", "AbC-dEf_9")


@pytest.mark.parametrize("name", ["ScCid", "GCLID", "msclkid"])
def test_a_click_ids_name_is_kept_as_it_was_written(name: str) -> None:
    origin = visit(f"?page=2&{name}=AbC_1#top")
    assert (origin.click_id_name, origin.click_id) == (name, "AbC_1")
    assert is_paid(hit_of(origin))


def test_other_names_of_campaign_content_and_term_are_understood() -> None:
    origin = visit("?utm_source=partner&utm_id=42&el=Banner-3&mtm_kwd=how%20to%20draw")
    assert (origin.campaign, origin.content, origin.term) == ("42", "Banner-3", "how to draw")


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://example.com/?a=1&mc_eid=p&b=%20", "https://example.com/?a=1&b=%20"),
        ("https://example.com/?MC_EID=p", "https://example.com/"),
        ("https://example.com/?mc%5Feid=p&x", "https://example.com/?x"),
        ("https://example.com/#a=1&_kx=p", "https://example.com/#a=1"),
        ("https://example.com/?to=pat%40example.com&a=1", "https://example.com/?a=1"),
        ("https://example.com/?mkt_tok=p&" + "&".join(f"a{n}=1" for n in range(300)),
         "https://example.com/?" + "&".join(f"a{n}=1" for n in range(300))),
        ("https://example.com/@pat/?q=caf%C3%A9&utm_content=@pat", "https://example.com/@pat/?q=caf%C3%A9&utm_content=@pat"),
    ],
)  # fmt: skip
def test_what_names_a_person_is_stripped_and_the_rest_stays_byte_for_byte(url: str, stored: str) -> None:
    assert strip_personal(url) == stored


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("shop.example.co.uk", "example.co.uk"),
        ("a.b.example.com", "example.com"),
        ("me.github.io", "me.github.io"),
        ("x.me.substack.com", "me.substack.com"),
        ("pat.mykajabi.com", "pat.mykajabi.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("shop.example.公司.cn", "example.公司.cn"),
    ],
)
def test_an_owners_part_of_a_host_follows_the_public_suffix_list(host: str, owner: str) -> None:
    assert registrable(host) == owner


def test_ids_that_identify_a_person_are_evidence_and_are_not_kept() -> None:
    origin = visit("?mc_eid=person-1")
    assert (origin.source, origin.click_id_name, origin.click_id) == ("mailchimp", "mc_eid", "")


@pytest.mark.parametrize(
    "referrer",
    [
        "https://www.example.com/other-page",
        "https://checkout.example.com/",
        "https://checkout.stripe.com/c/pay/1",
        "https://www.paypal.com/checkoutnow",
        "https://accounts.google.com/o/oauth2",
        "https://appleid.apple.com/",
        "https://login.microsoftonline.com/common",
        "https://school.teachable.com/p/course",
        "https://coach.mykajabi.com/checkout",
        "https://app.kajabi.com/",
        "https://creator.thrivecart.com/offer",
        "https://www.facebook.com/dialog/oauth",
        "https://x.klarna.com/",
        "not an address",
        "http://[broken",
    ],
)
def test_own_pages_payments_and_logins_never_take_the_credit(referrer: str) -> None:
    assert visit("", referrer).is_direct


def test_an_allowed_host_of_the_site_is_one_of_its_own_pages() -> None:
    assert not visit("", "https://shop.other.test/").is_direct
    assert visit("", "https://shop.other.test/", own_hosts=("other.test",)).is_direct


def test_two_shops_on_shared_hosting_are_two_owners() -> None:
    origin = read_origin("https://me.substack.com/p/1", "https://friend.substack.com/p/2", ())
    assert origin.source == "substack"


@pytest.mark.parametrize(
    ("query", "source", "medium"),
    [
        ("?ref=producthunt", "producthunt", "social"),
        ("?via=jane", "jane", "referral"),
        ("?source=my-podcast", "my-podcast", "referral"),
        ("?mtm_source=partner&mtm_medium=link", "partner", "link"),
        ("?pk_source=partner&pk_medium=link", "partner", "link"),
        ("#utm_source=partner&utm_medium=link", "partner", "link"),
        ("?htrafficsource=YouTube", "youtube", ""),
        ("?utm_source_platform=Google%20Ads", "google ads", ""),
        ("?via=jane&fbclid=1", "jane", "referral"),
        ("?ref=fb&fbclid=1", "fb", "social"),
        ("?ref=footer&gclid=1", "google", "cpc"),
        ("?utm_source=partner&ref=other", "partner", ""),
    ],
)
def test_other_spellings_of_a_source_are_understood(query: str, source: str, medium: str) -> None:
    assert (visit(query).source, visit(query).medium) == (source, medium)


def test_a_source_that_ends_in_ads_was_paid_for_when_the_place_is_known() -> None:
    assert channel("?utm_source=facebook-ads") == "Paid Social"
    assert channel("?utm_source=GoogleAds") == "Paid Search"
    assert channel("?utm_source=downloads") == UNASSIGNED


def test_paid_is_what_says_so_and_fbclid_alone_does_not() -> None:
    assert is_paid(hit_of(visit("?gclid=1")))
    assert is_paid(hit_of(visit("?utm_source=partner&utm_medium=cpc")))
    assert not is_paid(hit_of(visit("?fbclid=1")))
    assert not is_paid(hit_of(visit("", "https://www.google.com/")))


@pytest.mark.parametrize(
    "url",
    [
        "http://[",
        "https://example.com/?" + "&".join(f"a{n}=1" for n in range(500)),
        "https://example.com/?utm_source=%00",
        "//",
        "?",
    ],
)
def test_no_address_is_too_broken_to_read(url: str) -> None:
    assert read_origin(url, url, ()).is_direct


def test_a_plugins_rule_is_asked_before_cores_and_its_failure_is_passed_over() -> None:
    def broken(hit: Hit) -> bool:
        raise ValueError(hit.source)

    rules = [
        ChannelRule(slug="podcasts", channel="Podcast", applies=lambda hit: hit.source == "podcast", weight=20),
        ChannelRule(slug="broken", channel="Broken", applies=broken, weight=10),
    ]
    hit = hit_of(visit("?utm_source=podcast&utm_medium=audio"))
    assert channel_of(hit, rules) == "Podcast"
    assert channel_of(hit_of(visit("?utm_source=radio&utm_medium=audio")), rules) == "Audio"
