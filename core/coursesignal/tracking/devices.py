"""What a visit was made with, read from the user agent: kind of device, browser and operating system."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ua_parser import parse

MAX_LENGTH = 512
REMEMBERED = 16_384

AUTOMATED = "automated"
"""The device of visits by headless browsers, command-line clients and from data centres, where a tenant counts them."""


class Device(NamedTuple):
    """``kind`` is desktop, mobile, tablet, tv, console or automated; anything that cannot be told is empty."""

    kind: str = ""
    browser: str = ""
    system: str = ""


_SYSTEMS = {
    "Mac OS X": "macOS",
    "Ubuntu": "Linux",
    "Debian": "Linux",
    "Fedora": "Linux",
    "Red Hat": "Linux",
    "Other": "",
}
_BROWSERS = {
    "Mobile Safari UI/WKWebView": "Safari",
    "Safari Technology Preview": "Safari",
    "Chromium": "Chrome",
    "Other": "",
}
_VARIANT = re.compile(r"^Mobile |(?: (?:Mobile|iOS|WebView|Mini))+$")
_CONSOLE = re.compile(r"PlayStation|Xbox|Nintendo", re.IGNORECASE)
_TELEVISION = re.compile(
    r"smart-?tv|smarttv|\bTV\b|HbbTV|AppleTV|GoogleTV|BRAVIA|\bAFT[A-Z]|\bRoku|CrKey|NetCast|Web0S|VIDAA|Tizen.*\bTV|DTV",
    re.IGNORECASE,
)
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Nexus (?:7|9|10)\b|\bSM-T\d|\bKF[A-Z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"iPhone|iPod|Mobi|Phone|BlackBerry|Opera Mini|IEMobile", re.IGNORECASE)
_DESKTOP = frozenset({"Windows", "macOS", "Linux", "Chrome OS", "FreeBSD", "OpenBSD", "NetBSD", "Solaris"})


@lru_cache(maxsize=REMEMBERED)
def device_of(user_agent: str) -> Device:
    """The device behind a user agent, whatever it says."""
    text = user_agent[:MAX_LENGTH]
    if not text.strip():
        return Device()
    found = parse(text)
    system = found.os.family if found.os else ""
    system = "Windows" if system.startswith("Windows") and "Phone" not in system else _SYSTEMS.get(system, system)
    browser = found.user_agent.family if found.user_agent else ""
    browser = _BROWSERS.get(browser, browser)
    return Device(_kind(text, system), _VARIANT.sub("", browser), system)


def _kind(text: str, system: str) -> str:
    """The kind of device; an Android device that is not called mobile is a tablet."""
    if _CONSOLE.search(text):
        return "console"
    if _TELEVISION.search(text):
        return "tv"
    if _TABLET.search(text):
        return "tablet"
    if _PHONE.search(text):
        return "mobile"
    if system == "Android":
        return "tablet"
    return "desktop" if system in _DESKTOP else ""
