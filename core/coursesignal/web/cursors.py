"""Opaque cursors: where the last page ended in a list ordered by time and id, so that new rows neither repeat nor skip any."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

import msgspec

from coursesignal.errors import FieldError, Invalid


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row of a page."""

    at: datetime
    id: UUID


def encode_cursor(place: Place) -> str:
    """The cursor that goes on after ``place``."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_cursor(cursor: str) -> Place | None:
    """Where to go on, None for the first page; raises Invalid for what is no cursor of ours."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=Place)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _unknown() from error
    if place.at.tzinfo is None:
        raise _unknown()
    return place


def _unknown() -> Invalid:
    wrong = FieldError("cursor", "Use nextCursor of the page before, unchanged.")
    return Invalid("This page does not exist.", errors=[wrong])
