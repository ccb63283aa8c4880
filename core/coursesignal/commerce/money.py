"""The money in platform events as rows of charges. Pure: what is known of one charge is joined, so that order does not matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import get_args

from coursesignal.plugin import Charge, ChargeKind, PlatformEvent, RefundTotal

AGAINST = frozenset({"refund", "dispute"})
_RANK: Mapping[str, int] = {kind: rank for rank, kind in enumerate(get_args(ChargeKind))}
"""A more specific kind wins: a platform may call a renewal a sale in one place and a renewal in another."""


@dataclass(frozen=True, slots=True)
class Money:
    """One row of charges; ``amount_minor`` is signed."""

    external_id: str
    kind: str
    amount_minor: int
    currency: str
    occurred_at: datetime
    refund_of: str | None = None
    refund_total: int | None = None

    def join(self, other: Money) -> Money:
        """What both say about the same money: the specific kind, the larger amount, the earlier time."""
        kind = max(self.kind, other.kind, key=_RANK.__getitem__)
        amount, currency = max((abs(one.amount_minor), one.currency) for one in (self, other))
        return replace(
            self,
            kind=kind,
            amount_minor=-amount if kind in AGAINST else amount,
            currency=currency,
            occurred_at=min(self.occurred_at, other.occurred_at),
            refund_of=min((one.refund_of for one in (self, other) if one.refund_of), default=None),
        )


def money_in(event: PlatformEvent) -> Money | None:
    """The money an event reports; None for facts and for nothing that moved (a free order, a refund total of 0)."""
    if isinstance(event, Charge) and event.amount_minor:
        amount = -event.amount_minor if event.kind in AGAINST else event.amount_minor
        return Money(event.external_id, event.kind, amount, event.currency, event.occurred_at, event.refund_of)
    if isinstance(event, RefundTotal) and event.total_minor:
        total, charge = event.total_minor, event.charge_external_id
        return Money(
            f"refund_total:{charge}:{total}", event.kind, -total, event.currency, event.occurred_at, charge, total
        )
    return None


def joined(money: Iterable[Money]) -> Mapping[str, Money]:
    """One :class:`Money` per external id."""
    found: dict[str, Money] = {}
    for one in money:
        known = found.get(one.external_id)
        found[one.external_id] = known.join(one) if known else one
    return found


def stepped(totals: Sequence[Money], told_singly: int = 0) -> Sequence[Money]:
    """The refund totals of one charge with amounts that say what each adds to the next smaller one.

    A total below one that was told for an earlier time adds nothing new in all, it only says more of when. Of what refunds told
    one by one come to (``told_singly``) a total says nothing new either.
    """
    steps: list[Money] = []
    below = told_singly
    for one in sorted(totals, key=lambda one: one.refund_total or 0):
        total = max(one.refund_total or 0, below)
        steps.append(replace(one, amount_minor=below - total))
        below = total
    return steps


def added(was: Mapping[str, Money], now: Sequence[Money]) -> Sequence[Money]:
    """The charges of a purchase that are new; of a refund that a total had told before, only what it adds in all."""
    more: dict[str | None, int] = defaultdict(int)
    for one, sign in [*((one, -1) for one in now), *((one, 1) for one in was.values())]:
        if one.kind == "refund":
            more[one.refund_of] += sign * one.amount_minor
    found: list[Money] = []
    for one in now:
        if one.external_id in was:
            continue
        if one.kind == "refund" and one.refund_of is not None:
            amount = min(-one.amount_minor, more[one.refund_of])
            more[one.refund_of] -= amount
            one = replace(one, amount_minor=-amount)
        if one.amount_minor:
            found.append(one)
    return found
