"""A list of the fake Kajabi as pages, in each shape that the official documents and clients show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlencode

from coursesignal.testing.platforms.kajabi_rows import Row
from coursesignal.testing.platforms.server import Call, number

Paging = Literal["links", "counted", "self_only", "total_only", "next_only", "pagination"]
"""``links``: all links and meta, as the transactions page says; ``counted``: meta with count, total_count and total_pages, as the
purchases page says; ``self_only``: self and current, as the response schemas say; ``total_only``: these and meta.total;
``next_only``: self, current, last and next but on the last page, and meta.total, as a client quotes a real answer;
``pagination``: meta.pagination, as the payouts page says."""
DEFAULT_SIZE = 25


def page_of(call: Call, url: str, rows: Sequence[Row], paging: Paging, most: int, *, loops: bool, clamps: bool) -> Row:
    """The page that ``call`` asks for."""
    size = min(number(call.query.get("page[size]"), DEFAULT_SIZE), most)
    last = max(1, -(-len(rows) // size))
    asked = number(call.query.get("page[number]"), 1)
    page = 1 if loops else min(asked, last) if clamps else asked
    shown = list(rows[(page - 1) * size : page * size])
    following = page + 1 if page < last or loops else None
    links = {"self": _link(call, url, page), "current": _link(call, url, page)}
    if paging in ("links", "next_only"):
        links["last"] = _link(call, url, last)
        links |= {"next": _link(call, url, following)} if following else {}
    if paging == "links":
        links["first"] = _link(call, url, 1)
    body: Row = {"data": shown, "links": links}
    meta = _meta(paging, rows, len(shown), page, last, following)
    return body | ({"meta": meta} if meta else {})


def _meta(paging: Paging, rows: Sequence[Row], shown: int, page: int, last: int, following: int | None) -> Row:
    if paging == "links":
        return {"total_pages": last, "total_count": len(rows), "current_page": page}
    if paging == "counted":
        return {"count": shown, "total_count": len(rows), "total_pages": last}
    if paging in ("total_only", "next_only"):
        return {"total": len(rows)}
    if paging == "pagination":
        ahead = {"next": following} if following else {}
        return {
            "total": len(rows),
            "pagination": {"current": page, "first": 1, "last": last, "records": len(rows)} | ahead,
        }
    return {}


def _link(call: Call, url: str, page: int) -> str:
    return f"{url}{call.path}?{urlencode({**call.query, 'page[number]': str(page)})}"
