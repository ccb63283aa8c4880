"""Platforms are connected, synced and sold on while web process and worker are killed: each total equals the platform's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest

from coursesignal.benchmark import kills, shops
from coursesignal.benchmark.kills import Killer, Survived
from coursesignal.testing.live import live_server

PURCHASES, LIVE, KILLS = 60, 20, 2
SLOWLY_S = 0.03
"""So that a sync of so few purchases takes long enough to be killed in its middle."""


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Survived]:
    rng = random.Random(7)
    with shops.platforms_up(tuple(shops.MAKERS)) as platforms:
        for platform in platforms.values():
            platform.slow(SLOWLY_S, times=200)
        urls = {slug: one.url for slug, one in platforms.items()}
        with live_server(tmp_path_factory.mktemp("kills"), platform_urls=urls) as server:
            opened = [shops.shop_on(server.settings, platform) for platform in platforms.values()]
            killer = Killer(server.pid, rng, KILLS, life_s=(0.5, 2.0))
            found = asyncio.run(kills.survive(server.url, opened, killer, purchases=PURCHASES, live=LIVE))
    assert killer.is_done, "what was not killed proves nothing"
    return {one.slug: one for one in found}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("slug", sorted(shops.MAKERS))
def test_totals_equal_the_platforms_own_to_the_cent_after_kills(survived: Mapping[str, Survived], slug: str) -> None:
    found = survived[slug]
    assert found.ours == found.theirs
    assert found.agrees and found.message.startswith("Agrees with ")
    charged, refunded = found.theirs["USD"]
    assert charged > 0 and refunded > 0
