"""Field encryption: AES-256-GCM with a key id in front and the row it belongs to as associated data.

Layout: version (1) | key id (4) | nonce (12) | ciphertext and tag. What is moved to another row, column or tenant stays shut.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coursesignal.errors import CourseSignalError

VERSION = b"\x01"
_HEADER = struct.Struct(">I")


class CannotOpen(CourseSignalError):
    """A sealed value is damaged, belongs elsewhere, or its key is not in the key ring."""


class Box:
    """Seals with one key and opens with every key of the ring."""

    def __init__(self, keys: Mapping[int, bytes], primary: int) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._primary = primary

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt; ``aad`` (see :func:`aad`) must be given again to open."""
        head = VERSION + _HEADER.pack(self._primary)
        nonce = os.urandom(12)
        return head + nonce + self._keys[self._primary].encrypt(nonce, plaintext, head + aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Decrypt; raises CannotOpen."""
        head, nonce, rest = sealed[:5], sealed[5:17], sealed[17:]
        if head[:1] != VERSION or len(head) != 5:
            raise CannotOpen("a sealed value has an unknown layout")
        key = self._keys.get(_HEADER.unpack(head[1:])[0])
        if key is None:
            raise CannotOpen("a sealed value's key is not in the key ring; restore the keys it was sealed with")
        try:
            return key.decrypt(nonce, rest, head + aad)
        except InvalidTag:
            raise CannotOpen("a sealed value is damaged or was moved") from None

    def stale(self, sealed: bytes) -> bool:
        """Whether ``sealed`` was made with an older key and should be sealed again."""
        return sealed[:5] != VERSION + _HEADER.pack(self._primary)


def aad(tenant_id: UUID | None, table: str, column: str, row_id: object) -> bytes:
    """The associated data of one field of one row."""
    return f"{tenant_id or '-'}|{table}|{column}|{row_id}".encode()
