"""/api/recommendations."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency

from coursesignal.plugin import Context, NoSettings, Routes
from coursesignal_recommendations import advice
from coursesignal_recommendations.pages import PAGES
from coursesignal_recommendations.schemas import Recommendations

Ctx = NamedDependency[Context[NoSettings]]


@get("/", operation_id="recommendations_list", summary="The advice last generated")
async def list_recommendations(ctx: Ctx) -> Recommendations:
    return await advice.current(ctx)


@post("/generate", operation_id="recommendations_generate", summary="Look for advice now", status_code=200)
async def generate(ctx: Ctx) -> Recommendations:
    return await advice.generate(ctx)


ROUTES = [Routes(handlers=[list_recommendations, generate]), Routes(handlers=PAGES, area="dashboard")]
