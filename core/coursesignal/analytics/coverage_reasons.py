"""Why a purchase is credited to no visit: a closed set, each with what it means and what to do, for the tenant to read."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """In the order they are looked for; a purchase has the first that fits."""

    CREDITED = "credited"
    """Nothing is missing."""
    MODEL_CREDITS_NONE = "model-credits-none"
    """Visits within the window are known."""
    VISITS_OUTSIDE_WINDOW = "visits-outside-window"
    """Visits before the purchase are known, none within the window."""
    VISITS_AFTER_PURCHASE = "visits-after-purchase"
    """A browser of the buyer is known, by later visits only."""
    NOT_CREDITED_YET = "not-credited-yet"
    """Matched, and none of the above."""
    NO_EMAIL = "no-email"
    """The platform told none."""
    TRACKER_SILENT = "tracker-silent"
    """No visit of anybody within the window before the purchase."""
    SHARED_BROWSER = "shared-browser"
    """The e-mail address was given on the site, in a browser that is somebody else's."""
    NEVER_IDENTIFIED = "never-identified"
    """The e-mail address was never given on the site."""


EXPLANATIONS = {
    Reason.CREDITED: "We know who bought and how they came, and the model credits their visits.",
    Reason.MODEL_CREDITS_NONE: "We know the buyer's visits, but this model credits none of them: the opt-in model without an "
    "opt-in, or a model that has not learned yet.",
    Reason.VISITS_OUTSIDE_WINDOW: "We know the buyer, but every visit before the purchase is older than the window.",
    Reason.VISITS_AFTER_PURCHASE: "We know the buyer's browser, but only from visits after the purchase.",
    Reason.NOT_CREDITED_YET: "The buyer was matched; the credits are still being computed.",
    Reason.NO_EMAIL: "The platform did not tell us the buyer's e-mail address.",
    Reason.TRACKER_SILENT: "Your site sent no visits at all in the time before these purchases.",
    Reason.SHARED_BROWSER: "The buyer's address was given on your site, but in a browser that belongs to somebody else, like a "
    "shared computer.",
    Reason.NEVER_IDENTIFIED: "Your site sent visits, but the buyer's e-mail address was never given in one of them.",
}
PROBABLE = "The buyer's e-mail address was never given on your site; a visit shortly before the purchase fits it."

NEXT_STEPS = {
    Reason.MODEL_CREDITS_NONE: "Choose another model, such as last non-direct.",
    Reason.VISITS_OUTSIDE_WINDOW: "Ask for a longer window, or choose one in the settings.",
    Reason.VISITS_AFTER_PURCHASE: "Put the tracker on the pages that people see before they buy; for these it is too late.",
    Reason.NOT_CREDITED_YET: "Look again in a few minutes.",
    Reason.NO_EMAIL: "Make the e-mail address required at checkout, check what your connection may read, and sync again.",
    Reason.TRACKER_SILENT: "Install the tracker on every page, landing and checkout pages above all. The script page has the "
    "snippet.",
    Reason.SHARED_BROWSER: "Strangers are not merged. If both are the same person, merge them on the person's page.",
    Reason.NEVER_IDENTIFIED: "Tell the tracker the address where people opt in, log in or have bought: "
    "CourseSignal.identify(email). If your checkout is on another domain, add it to the site's hosts.",
}
PROBABLE_STEP = (
    "To be certain, tell the tracker the address where people opt in or log in: CourseSignal.identify(email)."
)
