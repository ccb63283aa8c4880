"""Up to three launches beside each other, by the hour since each opened."""

from __future__ import annotations

from uuid import UUID

from coursesignal.plugin import FieldError, Invalid
from coursesignal_launches import launches, results
from coursesignal_launches.schemas import ComparedLaunch, Comparison
from coursesignal_launches.settings import Ctx

MOST = 3


async def compare(ctx: Ctx, ids: str) -> Comparison:
    """Launches by ids with commas between; raises Invalid for too few or too many, NotFound for one that is none."""
    compared = []
    for launch_id in _ids(ids):
        found = await results.analytics(ctx, await launches.get(ctx, launch_id))
        compared.append(ComparedLaunch(launch=found.launch, figures=found.figures, hours=found.hours))
    longest = max(len(one.hours) for one in compared)
    return Comparison(currency=ctx.tenant.currency, hours=longest, launches=tuple(compared))


def _ids(text: str) -> list[UUID]:
    try:
        found = list(dict.fromkeys(UUID(part.strip()) for part in text.split(",") if part.strip()))
    except ValueError as error:
        raise _wrong("Give ids of launches with commas between.") from error
    if not 1 <= len(found) <= MOST:
        raise _wrong(f"Give the ids of one to {MOST} launches.")
    return found


def _wrong(message: str) -> Invalid:
    return Invalid("These launches cannot be compared.", errors=[FieldError("ids", message)])
