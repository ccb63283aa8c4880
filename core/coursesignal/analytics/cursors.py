"""Opaque cursors: where the last page ended, by the order of the list, so that new rows neither repeat nor skip any."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.errors import FieldError, Invalid


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last purchase of a page, in the order newest first."""

    purchased_at: datetime
    id: UUID


def encode_cursor(row: Any) -> str:
    """The cursor after ``row``, which has purchased_at and id."""
    raw = msgspec.json.encode(Place(row["purchased_at"], row["id"]))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> Place | None:
    """Where to go on, None for the first page; raise Invalid for what is no cursor of ours."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=Place)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _unknown() from error
    if place.purchased_at.tzinfo is None:
        raise _unknown()
    return place


def _unknown() -> Invalid:
    return Invalid(
        "This page does not exist.", errors=[FieldError("cursor", "Use nextCursor of the page before, unchanged.")]
    )
