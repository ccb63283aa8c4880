"""/api/public: the recap behind a link, and what tenants that agreed say of themselves."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, QueryParameter, URLEncodedBody

from coursesignal.plugin import FieldError, Invalid, Notices, PasswordRequired, PasswordWrong, Routes, Share
from coursesignal_launches import board, sharing
from coursesignal_launches.breakdown import percent
from coursesignal_launches.recap_page import password_page, recap_page
from coursesignal_launches.schemas import Out, Password, Recap
from coursesignal_launches.settings import Ctx as Context

Ctx = NamedDependency[Context]
Link = NamedDependency[Share]
Boards = NamedDependency[Notices]
FEWEST = 10
"""Tenants an average is made of, so that none can be told from it."""
MOST_RECENT = 50


class MatchRate(Out, frozen=True, kw_only=True):
    """Of all purchases of those who take part, how many are tied to visits; null while too few take part."""

    match_rate: float | None
    purchases: int | None
    creators: int | None
    hint: str | None


class SocialProof(Out, frozen=True, kw_only=True):
    """Totals of those who take part; null while too few do."""

    creators: int | None
    launches: int | None
    students: int | None
    purchases: int | None
    hint: str | None


class RecentLaunch(Out, frozen=True, kw_only=True):
    """A shared launch of a tenant that agreed; anonymous ones have no title and no creator, and rounded numbers."""

    title: str | None
    creator: str | None
    status: str
    started_on: str
    currency: str
    net_revenue_minor: int
    students: int
    top_source: str | None
    """Where most of its revenue came from, by the tenant's own model; null when no visit explains any."""


class RecentLaunches(Out, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[RecentLaunch, ...]


@get("/match-rate-stats", operation_id="launches_match_rate_stats", summary="How many purchases are tied to visits")
async def match_rate_stats(notices: Boards) -> MatchRate:
    """With ``site`` of that site's tenant alone, without of all that take part."""
    found = await notices.read(board.TOTALS, limit=10_000)
    if (hint := _too_few(notices, found)) is not None:
        return MatchRate(match_rate=None, purchases=None, creators=None, hint=hint)
    purchases = _sum(found, "purchases")
    rate = percent(_sum(found, "matched"), purchases)
    return MatchRate(match_rate=rate, purchases=purchases, creators=len(found), hint=None)


@get("/social-proof-metrics", operation_id="launches_social_proof", summary="Totals of all who take part")
async def social_proof_metrics(notices: Boards) -> SocialProof:
    """With ``site`` of that site's tenant alone, without of all that take part."""
    found = await notices.read(board.TOTALS, limit=10_000)
    if (hint := _too_few(notices, found)) is not None:
        return SocialProof(creators=None, launches=None, students=None, purchases=None, hint=hint)
    names = ("launches", "students", "purchases")
    return SocialProof(creators=len(found), hint=None, **{name: _sum(found, name) for name in names})


@get("/recent-launches", operation_id="launches_recent", summary="Shared launches of tenants that agreed")
async def recent_launches(
    notices: Boards, limit: Annotated[int, QueryParameter(description=f"1 to {MOST_RECENT}.")] = 10
) -> RecentLaunches:
    """With ``site`` of that site's tenant alone, without of all that agreed."""
    if not 1 <= limit <= MOST_RECENT:
        raise Invalid(errors=[FieldError("limit", f"Must be 1 to {MOST_RECENT}.")])
    return RecentLaunches(items=tuple(_recent(body) for body in await notices.read(board.RECENT, limit=limit)))


@get("/", operation_id="launches_recap", summary="The recap behind a link")
async def shared_launch(
    ctx: Ctx,
    share: Link,
    password: Annotated[str, HeaderParameter(name="X-Share-Password", description="Where the link has one.")] = "",
) -> Recap:
    """401 `password-required`, 403 `password-wrong`, 410 when the link expired, 404 otherwise."""
    return await sharing.recap(ctx, await share.open(password))


@post("/", operation_id="launches_unlock_recap", summary="The recap behind a link with a password", status_code=200)
async def unlocked_launch(ctx: Ctx, share: Link, data: JSONBody[Password]) -> Recap:
    """The same, with the password in the body."""
    return await sharing.recap(ctx, await share.open(data.password))


@get(
    "/",
    operation_id="launches_recap_page",
    summary="The recap as a page",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def shared_page(ctx: Ctx, share: Link) -> Response[str]:
    return await _page(ctx, share, "")


@post(
    "/", operation_id="launches_unlock_page", summary="The recap as a page, with its password", include_in_schema=False
)
async def unlocked_page(ctx: Ctx, share: Link, data: URLEncodedBody[Password]) -> Response[str]:
    return await _page(ctx, share, data.password)


async def _page(ctx: Context, share: Share, password: str) -> Response[str]:
    try:
        found = await sharing.recap(ctx, await share.open(password))
    except PasswordRequired:
        return password_page(401, "")
    except PasswordWrong:
        return password_page(403, "This is not the password. Ask whoever sent you the link.")
    return recap_page(found)


def _recent(body: Any) -> RecentLaunch:
    names = {
        "title": "title", "creator": "creator", "status": "status", "started_on": "startedOn", "currency": "currency",
        "net_revenue_minor": "netRevenueMinor", "students": "students", "top_source": "topSource",
    }  # fmt: skip
    return RecentLaunch(**{field: body[name] for field, name in names.items()})


def _too_few(notices: Notices, found: Any) -> str | None:
    if notices.of_one:
        return None if found else "This creator does not take part."
    if len(found) < FEWEST:
        return f"Shown once {FEWEST} creators take part, so that nobody is known by a number."
    return None


def _sum(found: Any, name: str) -> int:
    return sum(int(body[name]) for body in found)


PUBLIC = [
    Routes(handlers=[match_rate_stats, social_proof_metrics, recent_launches], area="open"),
    Routes(handlers=[shared_launch, unlocked_launch], area="shared"),
    Routes(handlers=[shared_page, unlocked_page], area="shared_page"),
]
