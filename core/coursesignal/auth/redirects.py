"""Where a page may send somebody afterwards: to a page of this installation, whatever the link claims."""

from __future__ import annotations

import logging
import re

log = logging.getLogger("coursesignal.denied")
HOME = "/"
_PAGE = re.compile(r"/app/[A-Za-z0-9_.~%/-]+(\?[A-Za-z0-9_.~%/?&=+:@!,;*-]*)?")
_TRICK = re.compile(r"//|/\.|%2f|%5c|%0|%2e", re.IGNORECASE)


def safe_next(wanted: str) -> str:
    """``wanted`` when it is the plain path of a dashboard page, else the start page."""
    path = wanted.partition("?")[0]
    if len(wanted) <= 2000 and _PAGE.fullmatch(wanted) and not _TRICK.search(path):
        return wanted
    if wanted and wanted != HOME:
        log.info("redirect.rejected")
    return HOME
