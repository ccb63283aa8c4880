"""Why an event was not counted, or not as it came: closed sets, shown to the tenant by reason."""

from __future__ import annotations

from enum import StrEnum


class DropReason(StrEnum):
    """One value per way an understood event is refused; add a row to ``docs/channels.md`` with each new one."""

    HOST_NOT_ALLOWED = "host-not-allowed"
    """The page is not on one of the site's allowed hosts."""
    INVALID_EMAIL = "invalid-email"
    """An identify event without a usable e-mail address."""
    INVALID_TEXT = "invalid-text"
    """A text contains the character NUL, which cannot be stored."""
    INVALID_URL = "invalid-url"
    """The page's address is not an http or https URL."""
    MISSING_NAME = "missing-name"
    """A custom event without a name."""
    TOO_LONG = "too-long"
    """A text is longer than is stored."""
    INVALID_PROPS = "invalid-props"
    """The properties are too large, too deeply nested, or hold a number out of range."""
    RATE_LIMITED = "rate-limited"
    """A request beyond the site's rate: the whole request was answered 429."""
    HEADLESS = "headless"
    """A headless browser, where the tenant does not count automation."""
    HTTP_CLIENT = "http-client"
    """A command-line client or library, where the tenant does not count automation."""
    DATA_CENTRE = "data-centre"
    """The address belongs to a hosting company, where the tenant does not count automation."""
    BOT = "bot"
    """The user agent says it is a crawler; found by the pipeline, after the event was acknowledged."""


class IgnoredLink(StrEnum):
    """Why a visitor parameter from another domain was not believed; the events themselves are stored."""

    FORGED = "link-forged"
    """It is not signed by this installation, or was changed."""
    FOREIGN = "link-foreign"
    """It was made for another tenant."""
    EXPIRED = "link-expired"
    """It was followed more than two hours after it was made."""


class Correction(StrEnum):
    """Why an event is stored with another time than it gave; counted beside the drops."""

    CLOCK = "clock-corrected"
    """The client's clock was wrong, by the time it said it sent the events at."""
    FUTURE = "future-time"
    """The time was ahead of ours: the event is stored as of its arrival."""
    TOO_OLD = "too-old-time"
    """The time was more than a month ago: the event is stored as of its arrival."""
