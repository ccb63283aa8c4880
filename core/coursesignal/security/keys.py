"""The installation's keys: one ring of 32-byte secrets, from which every other key is derived.

They come from COURSESIGNAL_SECRET_KEYS (``id:base64,…``, the first seals, all open) or from ``home``/keys.json, made at the first
start with mode 0600.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coursesignal.errors import ConfigurationError
from coursesignal.security.box import Box
from coursesignal.settings import Settings

KEY_BYTES = 32


class KeyRing:
    """Keys by purpose. ``box`` can open what any key of the ring sealed; the derived keys come from the oldest, which stays."""

    def __init__(self, keys: dict[int, bytes], primary: int) -> None:
        root = keys[min(keys)]
        self.box = Box({key_id: _derive(key, "fields") for key_id, key in keys.items()}, primary)
        self.jwt_key = _derive(root, "access tokens")
        self.database_secret = _derive(root, "database roles")
        self.hash_key = _derive(root, "keyed hashes")
        self._sign_key = _derive(root, "signatures")

    def sign(self, purpose: str, data: bytes) -> bytes:
        """A 32-byte signature of ``data``, good for ``purpose`` only."""
        return hmac.digest(self._sign_key, purpose.encode() + b"\0" + data, hashlib.sha256)

    def keyed_hash(self, value: str) -> bytes:
        """A hash of something personal that cannot be guessed without the keys."""
        return hmac.digest(self.hash_key, value.encode(), hashlib.sha256)

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Read the keys, or make them at the first start."""
        if settings.secret_keys:
            return cls(*_parse(settings.secret_keys))
        return cls(*_read_or_make(settings.home / "keys.json"))


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"coursesignal " + purpose.encode()).derive(key)


def _parse(text: str) -> tuple[dict[int, bytes], int]:
    keys: dict[int, bytes] = {}
    order: list[int] = []
    for part in text.split(","):
        name, _, value = part.strip().partition(":")
        try:
            key_id, key = int(name), base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raise ConfigurationError(
                "COURSESIGNAL_SECRET_KEYS must read id:base64,id:base64 with whole-number ids."
            ) from None
        if len(key) < KEY_BYTES:
            raise ConfigurationError(f"Key {key_id} of COURSESIGNAL_SECRET_KEYS is shorter than {KEY_BYTES} bytes.")
        keys[key_id] = key
        order.append(key_id)
    return keys, order[0]


def _read_or_make(path: Path) -> tuple[dict[int, bytes], int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    stored = json.loads(path.read_text())
    return {int(key_id): base64.b64decode(key) for key_id, key in stored["keys"].items()}, int(stored["primary"])


def _make(path: Path) -> None:
    """Write new keys beside and link them into place, so that of two first starts one wins and both read the same."""
    text = json.dumps({"primary": 1, "keys": {"1": base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}})
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
