"""What every model says of every source or channel, side by side: the spread is how much the choice of a model matters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from coursesignal.analytics.figures import percent
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import ModelComparison, ModelComparisonRow
from coursesignal.plugin import AttributionModel

By = Literal["source", "channel"]

_CREDITED = """
    select t.{by} as name, mode() within group (order by t.channel) as channel, k.model, sum(k.amount_minor) as amount
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = any($4)
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $5
    group by t.{by}, k.model"""

_NET = """
    select coalesce(sum(amount_minor), 0) from charges
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and currency = $4"""


async def compare(reading: Reading, models: Mapping[str, AttributionModel], by: By) -> ModelComparison:
    """Net revenue in the period by source or channel under every model; a row's range is over the models that credit anything."""
    slugs = sorted(models)
    about = (reading.tenant.id, reading.period.start_at, reading.period.end_at)
    found = await reading.fetch(_CREDITED.format(by=by), *about, slugs, reading.currency)
    net = int(await reading.fetchval(_NET, *about, reading.currency))
    credited: dict[str, dict[str, int]] = defaultdict(dict)
    channels: dict[str, str] = {}
    for row in found:
        credited[row["name"]][row["model"]] = int(row["amount"])
        channels.setdefault(row["name"], row["channel"])
    using = sorted({row["model"] for row in found})
    rows = [_row(name, channels[name], amounts, using, net) for name, amounts in credited.items()]
    return ModelComparison(
        from_=reading.period.first,
        to=reading.period.last,
        currency=reading.currency,
        models=tuple(slugs),
        rows=tuple(sorted(rows, key=lambda row: (-row.highest_minor, row.name))),
        unattributed_minor={slug: net - sum(amounts.get(slug, 0) for amounts in credited.values()) for slug in slugs},
        net_revenue_minor=net,
    )


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
