"""The script that takes the visitor along into payment links, buy buttons and pricing tables."""

from __future__ import annotations

from pathlib import Path

from litestar import Response, get

from coursesignal.plugin import Routes

SCRIPT = (Path(__file__).parent / "static" / "links.js").read_text(encoding="utf-8")


@get(
    "/links.js",
    operation_id="stripe_links",
    summary="A script that adds the visitor's id to Stripe's payment links",
    media_type="text/javascript",
)
async def links() -> Response[str]:
    """Put beside the tracker: ``<script async src="…/api/public/stripe/links.js?site=KEY"></script>``."""
    return Response(SCRIPT, media_type="text/javascript", headers={"cache-control": "public, max-age=3600"})


PUBLIC = Routes(handlers=[links], area="public")
