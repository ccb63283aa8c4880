"""Opaque tokens: 256 random bits for the holder, their hash for us."""

from __future__ import annotations

import hashlib
import secrets


def new_token(prefix: str = "") -> str:
    """A token to hand out once; store only :func:`hash_token` of it."""
    return prefix + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What to store and look up. A plain hash is enough: the token has 256 random bits."""
    return hashlib.sha256(token.encode()).digest()
