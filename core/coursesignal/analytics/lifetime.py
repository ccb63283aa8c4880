"""What students turned out to be worth, by where their first purchase came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from coursesignal.analytics.buyers import FIRSTS, FOLLOWED, MONEY, ORIGINS
from coursesignal.analytics.figures import per, percent
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.reports import LifetimeAfter, LifetimeFigures, LifetimeReport, LifetimeRow

By = Literal["source", "channel", "campaign"]
AGES = (30, 60, 90, 180, 365)
"""Days after the first purchase, of 24 hours each."""

_WITHIN = ",\n".join(
    f"sum(amount) filter (where at < first_at + interval '{days * 24} hours') as within_{days}" for days in AGES
)
_OLD_ENOUGH = "filter (where first_at <= $6::timestamptz - interval '{hours} hours')"
_AFTER = ",\n".join(
    "count(*) {old} as students_{days}, coalesce(sum(within_{days}) {old}, 0) as value_{days}".format(
        days=days, old=_OLD_ENOUGH.format(hours=days * 24)
    )
    for days in AGES
)
_NAMES = ", ".join(f"within_{days}" for days in AGES)
_NOTHING = ", ".join("null" for _ in AGES)
_OF_STUDENT = ", ".join(f"max(within_{days}) as within_{days}" for days in AGES)
# What was spent and where it came from are put side by side by grouping: see buyers.OF_ORIGIN for why nothing is joined.
_LIFETIMES = f"""
    with {MONEY}, {FIRSTS}, {ORIGINS}, {FOLLOWED},
    spent as (
        select student, first_at, sum(amount) as value,
               count(distinct purchase_id) filter (where is_sale and amount > 0) as purchases, {_WITHIN}
        from followed
        group by student, first_at
    ),
    told as (
        select student, max(first_at) as first_at, max(name) as name, max(channel) as channel, max(value) as value,
               max(purchases) as purchases, {_OF_STUDENT}
        from (
            select student, first_at, null as name, null as channel, value, purchases, {_NAMES} from spent
            union all
            select student, null, {{by}}, channel, null, null, {_NOTHING} from origins
        ) found
        group by student
    )
    select name, grouping(name) as is_total, mode() within group (order by channel) as channel,
           count(*) as students, coalesce(sum(value), 0) as value, coalesce(sum(purchases), 0) as purchases,
           count(*) filter (where purchases > 1) as repeat_students, {_AFTER}
    from told
    where first_at >= $4 and first_at < $5
    group by grouping sets ((name), ())"""  # noqa: S608 – of constants


async def lifetime_value(reading: Reading, by: By) -> LifetimeReport:
    """The students whose first purchase lies in the period; what they are worth is counted up to now."""
    period = reading.period
    found = await reading.fetch(
        _LIFETIMES.format(by=by),
        reading.tenant.id, reading.currency, reading.model, period.start_at, period.end_at, datetime.now(UTC),
    )  # fmt: skip
    rows = [
        LifetimeRow(name=row["name"], channel=row["channel"], **_figures(row))
        for row in found
        if not row["is_total"] and row["name"] is not None
    ]
    totals = LifetimeFigures(**_figures(next(row for row in found if row["is_total"])))
    rest = next((row for row in found if not row["is_total"] and row["name"] is None), None)
    return LifetimeReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if totals.students else "Nobody bought for the first time in this period. Choose a longer one.",
        by=by,
        rows=tuple(sorted(rows, key=lambda row: (-row.value_minor, -row.students, row.name))),
        unattributed=LifetimeFigures(**_figures(rest)),
        totals=totals,
        other_currencies=await other_currencies(reading),
    )


def _figures(row: Any) -> dict[str, Any]:
    """The fields of LifetimeFigures; zeros without a row."""
    count, value = (row["students"], int(row["value"])) if row else (0, 0)
    repeat = row["repeat_students"] if row else 0
    return {
        "students": count,
        "value_minor": value,
        "average_minor": per(value, count),
        "purchases": int(row["purchases"]) if row else 0,
        "repeat_students": repeat,
        "repeat_rate": percent(repeat, count),
        "after": tuple(_after(row, days) for days in AGES),
    }


def _after(row: Any, days: int) -> LifetimeAfter:
    count, value = (row[f"students_{days}"], int(row[f"value_{days}"])) if row else (0, 0)
    return LifetimeAfter(days=days, students=count, value_minor=value, average_minor=per(value, count))
