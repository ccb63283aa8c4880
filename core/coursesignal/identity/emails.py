"""E-mail addresses as keys: what makes two spellings the same address, and two addresses the same mailbox."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 254
IGNORES_DOTS = frozenset({"gmail.com", "googlemail.com"})
"""Two names of one provider, which takes no notice of dots."""
_SHAPE = re.compile(r"^[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f]{1,253}$")
_DOMAIN = re.compile(r"^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$")


def email_key(email: str | None) -> str | None:
    """The address in the one spelling we compare: NFC, lower case, the domain in its ASCII form; None when it is none."""
    if not email:
        return None
    text = unicodedata.normalize("NFC", email.strip().strip("<>")).casefold()
    if len(text) > MAX_LENGTH or not _SHAPE.match(text):
        return None
    local, _, domain = text.rpartition("@")
    try:
        ascii_domain = domain.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    if not _DOMAIN.match(ascii_domain):
        return None
    return f"{local}@{ascii_domain}"


def mailbox_of(key: str) -> str:
    """Where mail to an address, as :func:`email_key` spells it, goes: without plus tags, at Gmail without dots too."""
    local, _, domain = key.rpartition("@")
    box = local.partition("+")[0] or local
    if domain in IGNORES_DOTS:
        box, domain = box.replace(".", "") or box, "gmail.com"
    return f"{box}@{domain}"
