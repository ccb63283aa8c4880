"""How much a connection may ask, how long it waits, when it leaves a platform alone: rules without a clock or a network."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.connections.meter import (
    BURST_S,
    FAILURES_TO_OPEN,
    Gauge,
    Limits,
    asked_pause,
    grant,
    next_month,
    open_s,
)
from coursesignal.connections.pauses import LONGEST_S, MOST_ASKED_S, pause_s
from coursesignal.connections.runs import BEGINNING, HISTORY, OVERLAP, since_of
from coursesignal.connections.schedule import due_kind
from coursesignal.connections.sync import is_power_of_two

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
MARCH = date(2026, 3, 1)


@given(
    per_minute=st.integers(1, 600),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), min_size=1, max_size=60),
)
def test_no_minute_has_more_requests_than_its_rate_and_one_burst(
    per_minute: int, steps: list[tuple[float, int]]
) -> None:
    gauge, now, granted = Gauge(MARCH), NOW, list[tuple[datetime, int]]()
    for pause, want in steps:
        now += timedelta(seconds=pause)
        gauge, answer = grant(gauge, Limits(per_minute), want, now)
        assert 0 <= answer.requests <= want
        assert answer.requests or answer.wait_s > 0
        granted.append((now, answer.requests))
    most = per_minute + max(1.0, per_minute * BURST_S / 60)
    for start, _ in granted:
        within = sum(count for at, count in granted if start <= at < start + timedelta(minutes=1))
        assert within <= most + 1e-6


@given(per_minute=st.integers(1, 600), waited=st.floats(0, 5))
def test_whoever_waits_as_told_is_granted_a_request(per_minute: int, waited: float) -> None:
    gauge, now = Gauge(MARCH), NOW
    for _ in range(200):
        gauge, answer = grant(gauge, Limits(per_minute), 20, now)
        if not answer.requests:
            break
    assert not answer.requests
    gauge, answer = grant(gauge, Limits(per_minute), 1, now + timedelta(seconds=answer.wait_s + 1e-3 + waited))
    assert answer.requests == 1


@given(st.integers(1, 500), st.lists(st.integers(1, 50), max_size=60))
def test_a_month_has_its_budget_and_the_next_one_begins_anew(budget: int, wants: list[int]) -> None:
    gauge, total = Gauge(MARCH), 0
    for want in wants:
        gauge, answer = grant(gauge, Limits(None, budget), want, NOW)
        total += answer.requests
        assert answer.spent == (answer.requests == 0)
    assert total == min(budget, sum(wants)) == gauge.used
    gauge, answer = grant(gauge, Limits(None, budget), 1, datetime(2026, 4, 1, tzinfo=UTC))
    assert (answer.requests, gauge.used) == (1, 1)


def test_a_spent_budget_says_when_it_goes_on() -> None:
    _, answer = grant(Gauge(MARCH, used=5), Limits(None, 5), 1, NOW)
    assert answer.spent
    assert NOW + timedelta(seconds=answer.wait_s) == datetime(2026, 4, 1, tzinfo=UTC)
    assert next_month(date(2026, 12, 1)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_pause_the_platform_asked_for_binds_everybody() -> None:
    gauge = Gauge(MARCH, paused_until=NOW + timedelta(seconds=42))
    assert grant(gauge, Limits(), 1, NOW)[1].wait_s == 42
    assert grant(gauge, Limits(), 1, NOW + timedelta(seconds=42))[1].requests == 1


@pytest.mark.parametrize(("status", "header", "seconds"), [
    (429, "7", 7), (503, "120", 120), (429, format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30),
    (429, format_datetime(NOW - timedelta(hours=1), usegmt=True), 0), (429, "", None), (429, "soon", None),
    (429, "-5", None), (200, "7", None), (500, "7", None), (429, "9" * 30, 86_400),
])  # fmt: skip
def test_retry_after_is_read_in_both_its_forms(status: int, header: str, seconds: int | None) -> None:
    asked = asked_pause(httpx.Response(status, headers={"retry-after": header} if header else {}), NOW)
    assert asked == (None if seconds is None else timedelta(seconds=seconds))


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_a_limit_and_are_spread(failures: int, chance: float) -> None:
    pause, longer = pause_s(failures, chance=chance), pause_s(failures + 1, chance=chance)
    assert 1.0 <= pause <= longer <= LONGEST_S
    assert pause_s(failures, 42.0) == 42.0
    assert pause_s(failures, 10**6) == MOST_ASKED_S
    assert pause_s(8, chance=0.0) < pause_s(8, chance=0.9)


@given(st.integers(0, 60), st.floats(0, 1, exclude_max=True))
def test_the_circuit_opens_after_several_failures_and_stays_open_longer_each_time(failures: int, chance: float) -> None:
    assert (open_s(failures, chance=chance) == 0) == (failures < FAILURES_TO_OPEN)
    assert open_s(failures, chance=chance) <= open_s(failures + 1, chance=chance) <= 3600


def test_each_kind_of_sync_reaches_back_as_far_as_it_must() -> None:
    yesterday, long_ago = NOW - timedelta(hours=20), NOW - timedelta(days=200)
    assert since_of("first", None, NOW) == NOW - HISTORY
    assert since_of("manual", long_ago, NOW) == long_ago - OVERLAP
    assert since_of("incremental", yesterday, NOW) == yesterday - OVERLAP
    assert since_of("incremental", None, NOW) == NOW - HISTORY
    assert since_of("rescan", yesterday, NOW, timedelta(days=60)) == NOW - timedelta(days=60)
    assert since_of("rescan", long_ago, NOW, timedelta(days=60)) == long_ago - OVERLAP
    assert long_ago > BEGINNING


def test_a_connection_is_due_for_what_is_new_and_once_a_day_for_a_look_back() -> None:
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    assert due_kind(NOW - hour + minute, NOW, NOW, hour) is None
    assert due_kind(NOW - hour, NOW - 5 * hour, NOW, hour) == "incremental"
    assert due_kind(NOW - hour, NOW - 24 * hour, NOW, hour) == "rescan"
    assert due_kind(NOW - hour, None, NOW, hour) == "rescan"
    assert due_kind(None, NOW, NOW, hour) == "incremental"


@given(st.integers(1, 40), st.integers(0, 60))
def test_pages_that_go_round_in_circles_are_noticed_whatever_the_circle(length: int, before: int) -> None:
    def cursor_of(page: int) -> int:
        return page if page < before else before + (page - before) % length

    anchor, was, noticed = 0, 0, False
    for page in range(1, 4 * (before + length) + 4):
        anchor = was if is_power_of_two(page) else anchor
        now = cursor_of(page)
        if now in (was, anchor):
            noticed = True
            break
        was = now
    assert noticed
