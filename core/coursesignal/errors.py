"""Errors a caller must stop for, drawn as one tree.

    CourseSignalError
    ├── ConfigurationError          the installation is set up wrongly; the message says the mend
    │   └── PluginLoadError         a plugin cannot be loaded; names the plugin and the mend
    ├── Refused                     the request is understood and refused; becomes problem+json
    │   ├── BadRequest        400
    │   ├── Unauthenticated   401
    │   │   └── PasswordRequired  a shared link asks for its password
    │   ├── Forbidden         403
    │   │   └── PasswordWrong     it is another one
    │   ├── NotFound          404
    │   ├── Conflict          409
    │   ├── Gone              410
    │   ├── TooLarge          413
    │   ├── Invalid           422   carries field paths
    │   ├── RateLimited       429   carries retry_after_s
    │   └── Busy              503   carries retry_after_s
    └── LeaseLost                   another worker took this work over; roll back and stop

A refusal that is normal (a dropped event, an unmatched purchase) is a value, not an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; ``path`` is dotted, empty for the body as a whole."""

    path: str
    message: str


class CourseSignalError(Exception):
    """Base class of everything raised on purpose."""


class ConfigurationError(CourseSignalError):
    """The installation is set up wrongly; the message says what to do."""


class PluginLoadError(ConfigurationError):
    """A plugin cannot be loaded."""

    def __init__(self, slug: str, reason: str, mend: str) -> None:
        super().__init__(f"plugin {slug!r}: {reason}. {mend}")
        self.slug = slug
        self.reason = reason
        self.mend = mend


class Refused(CourseSignalError):
    """A request is refused; ``title`` is for people, ``kind`` is the stable problem type."""

    status: ClassVar[int] = 400
    default_kind: ClassVar[str] = "bad-request"
    default_title: ClassVar[str] = "The request cannot be carried out."

    def __init__(
        self,
        title: str = "",
        *,
        detail: str = "",
        kind: str = "",
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(title or self.default_title)
        self.title = title or self.default_title
        self.detail = detail
        self.kind = kind or self.default_kind
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """The title and every field that is wrong, for the command line and logs."""
        return " ".join([self.title, *(f"{error.path}: {error.message}" for error in self.errors)])


class BadRequest(Refused):
    """The request cannot be read."""


class Unauthenticated(Refused):
    """Nobody, or an expired somebody, is asking."""

    status = 401
    default_kind = "unauthenticated"
    default_title = "Log in, or send a valid access token or API key."


class Forbidden(Refused):
    """The caller is known and may not do this."""

    status = 403
    default_kind = "forbidden"
    default_title = "Your role does not allow this."


class NotFound(Refused):
    """Absent, or someone else's: the caller cannot tell which."""

    status = 404
    default_kind = "not-found"
    default_title = "Not found."


class Conflict(Refused):
    """The request collides with what is there."""

    status = 409
    default_kind = "conflict"
    default_title = "This already exists."


class Gone(Refused):
    """It was here, and is over for good."""

    status = 410
    default_kind = "gone"
    default_title = "This is not here any more."


class PasswordRequired(Unauthenticated):
    """A shared link asks for its password."""

    default_kind = "password-required"
    default_title = "This link asks for a password."


class PasswordWrong(Forbidden):
    """The password is not the shared link's."""

    default_kind = "password-wrong"
    default_title = "This is not the password of the link."


class TooLarge(Refused):
    """The body is larger than this endpoint reads."""

    status = 413
    default_kind = "too-large"
    default_title = "The request body is too large."


class Invalid(Refused):
    """The request is readable and wrong; ``errors`` names the fields."""

    status = 422
    default_kind = "invalid"
    default_title = "Some fields are not valid."


class RateLimited(Refused):
    """Too many requests; try again after ``retry_after_s``."""

    status = 429
    default_kind = "rate-limited"
    default_title = "Too many requests. Wait a moment and try again."


class Busy(Refused):
    """A part we depend on does not answer; nothing was stored, try again."""

    status = 503
    default_kind = "unavailable"
    default_title = "The service is busy. Nothing was stored; try again in a moment."


class LeaseLost(CourseSignalError):
    """Another worker took this work over; roll back and stop."""


class TooLittleData(CourseSignalError):
    """A model has not enough to learn from yet; the message says what is missing."""

    def __init__(self, what: str, have: int, need: int) -> None:
        super().__init__(f"Needs at least {need} {what} to learn from; there are {have}.")
        self.have, self.need = have, need
