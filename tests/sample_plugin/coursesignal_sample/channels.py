"""Podcasts are a channel of their own."""

from __future__ import annotations

from coursesignal.plugin import ChannelRule, Hit


def _is_podcast(hit: Hit) -> bool:
    return hit.medium in {"podcast", "audio"}


PODCASTS = ChannelRule(slug="podcasts", channel="Podcasts", applies=_is_podcast, weight=50)
