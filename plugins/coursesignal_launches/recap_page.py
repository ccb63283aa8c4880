"""The page behind a link: a recap for people without a login, and the question for its password."""

from __future__ import annotations

from litestar import MediaType, Response

from coursesignal_launches import charts
from coursesignal_launches.schemas import Recap
from coursesignal_launches.words import moment, templates


def recap_page(found: Recap) -> Response[str]:
    """Sums and a chart, in the times of the tenant."""
    html = (
        templates().get_template("recap.html").render(
            found=found, days=charts.by_day(found.days), moment=moment(found.time_zone)
        )
    )  # fmt: skip
    return Response(html, media_type=MediaType.HTML)


def password_page(status: int, wrong: str) -> Response[str]:
    """Asks for the password; says nothing of the launch."""
    html = templates().get_template("password.html").render(wrong=wrong)
    return Response(html, status_code=status, media_type=MediaType.HTML)
