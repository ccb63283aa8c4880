"""E-mail addresses of users: as typed for mails, and in one spelling to find the user by."""

from __future__ import annotations

import re
import unicodedata

from coursesignal.errors import FieldError, Invalid

MAX_LENGTH = 254
_SHAPE = re.compile(
    r"""[^\s@<>(),;:"\\\[\]\x00-\x1f\x7f]{1,64}@([^\s@<>(),;:"\\\[\]\x00-\x1f\x7f]{1,63}\.)+[^\s@<>(),;:"\\\[\]\x00-\x1f\x7f.]{2,63}"""
)


def address(text: str, path: str = "email") -> str:
    """The address without surrounding space; raises Invalid naming the field ``path``."""
    cleaned = unicodedata.normalize("NFC", text.strip())
    if len(cleaned) > MAX_LENGTH or not _SHAPE.fullmatch(cleaned):
        raise Invalid(errors=[FieldError(path, "Write an e-mail address such as nora@example.com.")])
    return cleaned


def address_key(text: str) -> str:
    """What two spellings of the same address have in common: case and form do not count."""
    return unicodedata.normalize("NFC", text.strip()).casefold()[: 2 * MAX_LENGTH].replace("\x00", "")
