"""Reading a request's body: at once when it is there, piece by piece when it is not, and never for longer than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from coursesignal.errors import BadRequest, TooLarge
from coursesignal.tracking import wire

Message = Mapping[str, Any]


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def at_once(*messages: Message) -> Callable[[], Coroutine[Any, Any, Message]]:
    """A server that has every message ready."""
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return receive


def slowly(*messages: Message) -> Callable[[], Coroutine[Any, Any, Message]]:
    """A server that waits several times before each message, and for ever after the last."""
    left = iter(messages)

    async def receive() -> Message:
        for _ in range(3):
            await asyncio.sleep(0)
        for message in left:
            return message
        await asyncio.Event().wait()
        raise AssertionError("nothing sets this event")

    return receive


@pytest.mark.parametrize("server", [at_once, slowly])
async def test_a_body_is_read_whole_however_it_arrives(server: Callable[..., Any]) -> None:
    assert await wire.read_body(server(part(b"one", more=False)), 3) == b"one"
    assert await wire.read_body(server(part(b"one ", more=True), part(b"two", more=False)), None) == b"one two"


@pytest.mark.parametrize("sent", [(), (part(b"half", more=True),)], ids=["nothing", "half"])
async def test_a_body_that_does_not_arrive_is_refused_after_the_limit(
    monkeypatch: pytest.MonkeyPatch, sent: tuple[Message, ...]
) -> None:
    monkeypatch.setattr(wire, "READ_TIMEOUT_S", 0.01)
    with pytest.raises(BadRequest):
        await wire.read_body(slowly(*sent), 100)


@pytest.mark.parametrize("server", [at_once, slowly])
async def test_a_client_that_hangs_up_is_told_nothing(server: Callable[..., Any]) -> None:
    with pytest.raises(wire.ClientGone):
        await wire.read_body(server({"type": "http.disconnect"}), 10)
    with pytest.raises(wire.ClientGone):
        await wire.read_body(server(part(b"half", more=True), {"type": "http.disconnect"}), 10)


async def test_a_body_that_grows_too_large_is_not_read_on() -> None:
    piece = b"x" * 40_000
    server = at_once(part(piece, more=True), part(piece, more=True))  # a third read would end the iterator
    with pytest.raises(TooLarge):
        await wire.read_body(server, None)
