"""Places people come from: which names and hosts mean the same source, and what kind of place it is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from coursesignal.tracking.data import sections
from coursesignal.tracking.urls import without_www


class Known(NamedTuple):
    """A source we know; ``kind`` is search, social, video, shopping, ai or email."""

    name: str
    kind: str


_APPS = {
    "com.google.android.googlequicksearchbox": Known("google", "search"),
    "com.google.android.youtube": Known("youtube", "video"),
    "com.linkedin.android": Known("linkedin", "social"),
    "com.facebook.katana": Known("facebook", "social"),
    "com.instagram.android": Known("instagram", "social"),
    "com.twitter.android": Known("x", "social"),
    "com.pinterest": Known("pinterest", "social"),
    "com.reddit.frontpage": Known("reddit", "social"),
    "com.slack": Known("slack", "social"),
    "org.telegram.messenger": Known("telegram", "social"),
    "com.openai.chatgpt": Known("chatgpt", "ai"),
}
"""Packages in android-app:// referrers."""
# google.com, google.de, www.google.co.uk – but not docs.google.com, and no stranger's google.evil.example.
_GOOGLE = re.compile(r"^(?:www\.|m\.)?google\.(?:com?\.)?[a-z]{2,3}$")


def _table() -> dict[str, Known]:
    table = dict(_APPS)
    for kind, lines in sections("known_sources.txt").items():
        for line in lines:
            name, *spellings = line.split()
            for spelling in (name, *spellings):
                table.setdefault(spelling, Known(name, kind))
    return table


_KNOWN = _table()


@lru_cache(maxsize=8192)
def known_host(host: str) -> Known | None:
    """The source behind a referrer's host name, longest match first."""
    host = without_www(host)
    if _GOOGLE.match(host):
        return Known("google", "search")
    while "." in host:
        found = _KNOWN.get(host)
        if found is not None:
            return found
        host = host.partition(".")[2]
    return None


@lru_cache(maxsize=8192)
def known_source(source: str) -> Known | None:
    """What a source written by people ("fb", "YouTube.com", "google") stands for; ``source`` is lower case."""
    return _KNOWN.get(source) or known_host(source)


@lru_cache(maxsize=8192)
def advertised(source: str) -> Known | None:
    """The known place in a source that says it is advertising there: "facebook-ads", "googleads"."""
    match = re.fullmatch(r"(.+?)[-_. ]?ads?", source)
    return known_source(match[1]) if match else None
