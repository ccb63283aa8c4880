"""Passwords: argon2id in threads, at most a few at once, and the same work for users that do not exist."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

T = TypeVar("T")
MINIMUM_LENGTH = 10
MAXIMUM_LENGTH = 1024
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
"""Two at once: each takes 19 MiB and a core."""


@functools.cache
def _hasher() -> PasswordHasher:
    """argon2id as OWASP advises (19 MiB, 2 passes); the least there is when COURSESIGNAL_TESTING=1."""
    if os.environ.get("COURSESIGNAL_TESTING") == "1":
        return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


@functools.cache
def _dummy() -> str:
    return _hasher().hash("nobody's password")


async def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    return await _in_thread(lambda: _hasher().hash(password))


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one of ``stored``; None takes the same time and is never right."""
    return await _in_thread(lambda: _verify(stored, password))


def needs_rehash(stored: str) -> bool:
    """Whether ``stored`` was made with other costs than today's."""
    return _hasher().check_needs_rehash(stored)


def weakness(password: str) -> str | None:
    """Why ``password`` may not be chosen, in words for its owner; None when it may."""
    if len(password) < MINIMUM_LENGTH:
        return f"Choose at least {MINIMUM_LENGTH} characters."
    if len(password) > MAXIMUM_LENGTH:
        return f"Choose at most {MAXIMUM_LENGTH} characters."
    if password.casefold() in _common() or len(set(password)) < 4:
        return "This password is easy to guess. Choose another."
    return None


def _verify(stored: str | None, password: str) -> bool:
    try:
        right = _hasher().verify(stored or _dummy(), password)
    except (Argon2Error, InvalidHashError):
        return False
    return right and stored is not None


@functools.cache
def _common() -> frozenset[str]:
    return frozenset((files("coursesignal.security") / "common_passwords.txt").read_text().split())


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
