"""Every fake platform misbehaves in the same ways when told to, and keeps books of its own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from coursesignal.testing.platforms import (
    FakeKajabi,
    FakePlatform,
    FakeStripe,
    FakeTeachable,
    KajabiQuirks,
    TeachableQuirks,
)

Params = Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """How to ask one kind of platform for the money it took."""

    make: Callable[[], FakePlatform]
    path: str
    rows: str
    page: Callable[[int, Sequence[str]], Params]
    """The query of page ``number`` of one row each, after the ids seen so far."""
    headers: Params = field(default_factory=dict)


KINDS = {
    "kajabi": Kind(
        FakeKajabi, "/v1/transactions", "data", lambda number, seen: {"page[size]": "1", "page[number]": str(number)}
    ),
    "teachable": Kind(
        FakeTeachable, "/v1/transactions", "transactions", lambda number, seen: {"per": "1", "page": str(number)},
        {"apiKey": "teachable-key"},
    ),
    "stripe": Kind(
        FakeStripe, "/v1/charges", "data", lambda number, seen: {"limit": "1", **({"starting_after": seen[-1]} if seen else {})},
        {"authorization": "Bearer rk_live_stripe"},
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
async def platform(kind: Kind) -> AsyncIterator[FakePlatform]:
    async with kind.make() as fake:
        yield fake


@pytest.fixture
async def ask(kind: Kind, platform: FakePlatform) -> AsyncIterator[Callable[..., Any]]:
    """``await ask(number, seen)``: that page of the money the platform took."""
    async with httpx.AsyncClient(base_url=platform.url, timeout=2, headers=kind.headers) as http:
        if isinstance(platform, FakeKajabi):
            form = {"grant_type": "client_credentials", "client_id": "kajabi-client", "client_secret": "kajabi-secret"}
            token = (await http.post("/v1/oauth/token", data=form)).json()["access_token"]
            http.headers["authorization"] = f"Bearer {token}"
        platform.sell("first@example.com", 1_000)
        platform.sell("second@example.com", 2_000)

        async def asked(number: int = 1, seen: Sequence[str] = (), **more: Any) -> httpx.Response:
            return await http.get(kind.path, params=kind.page(number, seen), **more)

        yield asked


def ids(kind: Kind, answer: httpx.Response) -> list[str]:
    return [str(row["id"]) for row in answer.json()[kind.rows]]


async def test_it_pages_through_what_it_sold(kind: Kind, ask: Callable[..., Any]) -> None:
    first = ids(kind, await ask())
    second = ids(kind, await ask(2, first))
    assert len({*first, *second}) == 2


async def test_it_pages_without_end_when_told_to(kind: Kind, platform: Any, ask: Callable[..., Any]) -> None:
    platform.quirks.loops = True
    seen: list[str] = []
    for number in range(1, 5):
        seen += ids(kind, await ask(number, seen))
    assert len(seen) == 4
    assert len(set(seen)) == 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "7"}, {"RateLimit-Reset": "3"}])
async def test_it_has_too_many_requests_with_whatever_headers(
    platform: FakePlatform, ask: Callable[..., Any], headers: dict[str, str]
) -> None:
    platform.throttle(2, headers)
    answers = [await ask() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert all(answers[0].headers[name] == value for name, value in headers.items())
    assert "retry-after" in answers[0].headers or "Retry-After" not in headers


async def test_it_fails_in_its_own_shape(platform: FakePlatform, ask: Callable[..., Any]) -> None:
    platform.fail(status=502)
    answer = await ask()
    assert (answer.status_code, answer.content) == (502, platform.error(502, "Bad Gateway").encoded())
    assert (await ask()).status_code == 200


async def test_it_takes_its_time(platform: FakePlatform, ask: Callable[..., Any]) -> None:
    platform.slow(1)
    with pytest.raises(httpx.ReadTimeout):
        await ask(timeout=0.05)
    assert (await ask()).status_code == 200


async def test_it_breaks_off(platform: FakePlatform, ask: Callable[..., Any]) -> None:
    platform.truncate()
    with pytest.raises(httpx.RemoteProtocolError):
        await ask()
    assert (await ask()).status_code == 200


async def test_credentials_end_in_the_middle(platform: FakePlatform, ask: Callable[..., Any]) -> None:
    platform.expire_after(2)
    assert [(await ask()).status_code for _ in range(4)] == [200, 200, 401, 401]


async def test_it_keeps_books_apart_from_what_it_answers(platform: FakePlatform, ask: Callable[..., Any]) -> None:
    sale = platform.sell("third@example.com", 5_000, "EUR", recurring=True)
    platform.renew(sale)
    platform.refund(sale, 1_500)
    platform.refund(sale)
    books = platform.ledger()
    assert {currency: (one.charged_minor, one.refunded_minor) for currency, one in books.items()} == {
        "USD": (3_000, 0), "EUR": (10_000, 5_000),
    }  # fmt: skip


async def test_webhooks_come_several_times_in_any_order_and_again_until_they_are_taken(
    platform: FakePlatform, ask: Callable[..., Any]
) -> None:
    for number in range(6):
        platform.sell(f"buyer{number}@example.com")
    waiting = [delivery.body for delivery in platform.pending]
    posted: list[bytes] = []
    status = 500

    def take(request: httpx.Request) -> httpx.Response:
        posted.append(request.content)
        return httpx.Response(status)

    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as http:
        await platform.deliver("https://signal.example.com/", http=http)
        assert posted == waiting
        assert sorted(one.body for one in platform.pending) == sorted(waiting), "refused ones stay"
        posted, status = [], 202
        await platform.deliver("https://signal.example.com/", http=http, copies=3, rng=random.Random(2))
    assert sorted(posted) == sorted(waiting * 3)
    assert posted != sorted(posted, key=waiting.index)
    assert platform.pending == []


async def test_ids_are_numbers_or_text_and_refunds_have_either_sign() -> None:
    async with (
        FakeTeachable(quirks=TeachableQuirks(string_ids=True)) as school,
        httpx.AsyncClient(base_url=school.url, headers=KINDS["teachable"].headers) as http,
    ):
        school.sell("pat@example.com")
        (row,) = (await http.get("/v1/transactions")).json()["transactions"]
        assert (row["id"], row["user_id"], row["charge"]) == ("71001", "501", 9_900)
    for positive in (True, False):
        kajabi = FakeKajabi(quirks=KajabiQuirks(positive_refunds=positive))
        kajabi.refund(kajabi.sell("pat@example.com"), 500)
        assert kajabi.transactions[-1]["attributes"]["amount_in_cents"] == (500 if positive else -500)
