"""The person a call is about: an address, the hash that stands for it, and the name the audit log gives it."""

from __future__ import annotations

from uuid import UUID

from coursesignal.errors import FieldError, Invalid
from coursesignal.identity.emails import email_key
from coursesignal.identity.tombstones import hash_of


def address_of(email: str) -> str:
    """The address in the spelling that is compared; raises Invalid for what is none."""
    key = email_key(email)
    if key is None:
        raise Invalid(
            "This is no e-mail address.", errors=[FieldError("email", "Write an address such as pat@example.com.")]
        )
    return key


def subject_hash(tenant_id: UUID, key: str) -> bytes:
    """What is kept instead of the address."""
    return hash_of(tenant_id, "email", key)


def shown(email_hash: bytes) -> str:
    """The hash as people read it in the audit log and in lists."""
    return f"person-{email_hash.hex()[:16]}"
