"""What a caller wants of a report besides the period and the model, as said and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from coursesignal.errors import FieldError, Invalid
from coursesignal.tenancy.names import currency_problem
from coursesignal.tenancy.tenants import LIFETIME_DAYS

DateBy = Literal["charge", "order"]
"""``charge``: money counts on the day it moved; ``order``: on the day of its purchase, refunds and renewals too."""
Window = Literal["", "1", "7", "14", "30", "60", "90", "365", "lifetime"]
"""How many days before a purchase a touch can be and still be credited; empty: the tenant's own setting."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """As said: ``segment`` is a slug, after ``!`` its complement; ``filter`` in either spelling of ``filters``."""

    date_by: str = "charge"
    window: str = ""
    currency: str = ""
    convert: bool = False
    segment: str = ""
    filter: str = ""

    def check(self) -> None:
        """Raise Invalid naming the parameters that are none."""
        errors = []
        if self.date_by not in get_args(DateBy):
            errors.append(FieldError("dateBy", f"Must be one of {', '.join(get_args(DateBy))}."))
        if self.window not in get_args(Window):
            errors.append(FieldError("window", f"Must be one of {', '.join(get_args(Window)[1:])}."))
        if self.currency:
            errors += currency_problem(self.currency)
        if errors:
            raise Invalid("This cannot be asked of a report.", errors=errors)

    @property
    def days(self) -> int | None:
        """Of the window; None for lifetime and for none asked."""
        return int(self.window) if self.window.isdigit() else None

    @property
    def lookback_days(self) -> int | None:
        """The window in days, lifetime too; None for none asked."""
        return (self.days or LIFETIME_DAYS) if self.window else None


NOTHING = Wishes()
"""The report as it is."""
