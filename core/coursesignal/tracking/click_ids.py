"""Parameters that ad networks and mail tools add to links, and what each says about where the click came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ClickId(NamedTuple):
    """``paid`` only where the parameter is proof of an ad; a ``personal`` value identifies a person and is not stored."""

    source: str
    medium: str
    paid: bool = False
    personal: bool = False


CLICK_IDS: Mapping[str, ClickId] = {
    "gclid": ClickId("google", "cpc", paid=True),
    "gbraid": ClickId("google", "cpc", paid=True),
    "wbraid": ClickId("google", "cpc", paid=True),
    "dclid": ClickId("google", "display", paid=True),
    "gad_source": ClickId("google", "cpc", paid=True),
    "gclsrc": ClickId("google", "cpc", paid=True),
    "gad_campaignid": ClickId("google", "cpc", paid=True),
    "msclkid": ClickId("bing", "cpc", paid=True),
    "rdt_cid": ClickId("reddit", "cpc", paid=True),
    "sccid": ClickId("snapchat", "cpc", paid=True),
    "scclid": ClickId("snapchat", "cpc", paid=True),
    "qclid": ClickId("quora", "cpc", paid=True),
    "yclid": ClickId("yandex", "cpc", paid=True),
    "ob_click_id": ClickId("outbrain", "display", paid=True),
    "obclid": ClickId("outbrain", "display", paid=True),
    "tblci": ClickId("taboola", "display", paid=True),
    "s_kwcid": ClickId("adobe", "cpc", paid=True),
    "irclickid": ClickId("impact", "affiliate"),
    "irclid": ClickId("impact", "affiliate"),
    "sscid": ClickId("shareasale", "affiliate"),
    "ttclid": ClickId("tiktok", "social"),
    "li_fat_id": ClickId("linkedin", "social"),
    "twclid": ClickId("x", "social"),
    "epik": ClickId("pinterest", "social"),
    "fbclid": ClickId("facebook", "social"),
    "igshid": ClickId("instagram", "social"),
    "mc_cid": ClickId("mailchimp", "email"),
    "mc_eid": ClickId("mailchimp", "email", personal=True),
    "_hsenc": ClickId("hubspot", "email", personal=True),
    "_hsmi": ClickId("hubspot", "email"),
    "_kx": ClickId("klaviyo", "email", personal=True),
    "ck_subscriber_id": ClickId("kit", "email", personal=True),
}
"""By parameter name in lower case, the surest first. Meta, TikTok, LinkedIn, X and Pinterest put theirs on unpaid links too."""


def first_click_id(parameters: Mapping[str, str]) -> tuple[str, ClickId] | None:
    """The surest click id among a URL's parameters, by its name."""
    if CLICK_IDS.keys().isdisjoint(parameters):
        return None
    return next((name, click_id) for name, click_id in CLICK_IDS.items() if name in parameters)
