"""What every model says of every source and channel, side by side: the spread is how much the choice of a model matters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from coursesignal.analytics.figures import percent
from coursesignal.analytics.reading import Reading
from coursesignal.plugin import AttributionModel
from coursesignal.reports import ModelComparison, ModelComparisonRow

By = Literal["source", "channel"]

_CREDITED = """
    select t.source, t.channel, k.model, sum(k.amount_minor) as amount, count(*) as credits
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = any($4)
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $5
    group by t.source, t.channel, k.model"""

_NET = """
    select coalesce(sum(amount_minor), 0) from charges
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and currency = $4"""


async def compare(reading: Reading, models: Mapping[str, AttributionModel], by: By) -> ModelComparison:
    """Net revenue in the period by source or channel under every model; a row's range is over the models that credit anything."""
    slugs, period = sorted(models), reading.period
    about = (reading.tenant.id, period.start_at, period.end_at)
    found = await reading.fetch(_CREDITED, *about, slugs, reading.currency, credits_of=period)
    net = int(await reading.fetchval(_NET, *about, reading.currency))
    credited: Counter[str] = Counter()
    for row in found:
        credited[row["model"]] += int(row["amount"])
    channels = _rows(found, "channel", net)
    return ModelComparison(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        models=tuple(slugs),
        rows=channels if by == "channel" else _rows(found, "source", net),
        channels=channels,
        unattributed_minor={slug: net - credited[slug] for slug in slugs},
        net_revenue_minor=net,
    )


def _rows(found: Sequence[Any], by: By, net: int) -> tuple[ModelComparisonRow, ...]:
    """One for every source or channel, the highest first."""
    using = sorted({row["model"] for row in found})
    amounts: dict[str, Counter[str]] = defaultdict(Counter)
    channels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in found:
        amounts[row[by]][row["model"]] += int(row["amount"])
        channels[row[by]][row["channel"]] += row["credits"]
    main = {name: min(seen, key=lambda one: (-seen[one], one)) for name, seen in channels.items()}
    rows = [_row(name, main[name], each, using, net) for name, each in amounts.items()]
    return tuple(sorted(rows, key=lambda row: (-row.highest_minor, row.name)))


def _row(name: str, channel: str, amounts: Mapping[str, int], using: Sequence[str], net: int) -> ModelComparisonRow:
    every = {slug: amounts.get(slug, 0) for slug in using}
    lowest, highest = min(every.values()), max(every.values())
    return ModelComparisonRow(
        name=name,
        channel=channel,
        revenue_minor=every,
        lowest_minor=lowest,
        highest_minor=highest,
        spread_minor=highest - lowest,
        share={slug: percent(amount, net) for slug, amount in every.items()},
        lowest_share=percent(lowest, net),
        highest_share=percent(highest, net),
    )
