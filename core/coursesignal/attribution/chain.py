"""The Markov chain of channels: the chance to convert, with all of them and without each.

States are the last ``order`` channels of a journey (fewer at its head), conversion and loss; a channel that follows itself is a
step like any other. Without a channel, every step to a state whose newest channel it is leads nowhere.

Of up to DENSE states the fundamental matrix N = (I - Q)⁻¹ gives all chances at once: what is lost without the states S of a
channel is N[start, S] · N[S, S]⁻¹ · h[S], h being the chance to convert from each. More states, of which each leads to few
others, are walked through step by step, all channels side by side, until no more than LEFT of a journey is still under way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

DENSE = 1_500
LEFT = 1e-15
STEPS = 100_000
"""At most: a journey that goes in circles for longer than that hardly changes anything."""
State = tuple[str, ...]
START: State = ()


class Chances(NamedTuple):
    """To convert: of a journey through all channels, and by channel of one without it."""

    everything: float
    without: Mapping[str, float]


@dataclass(slots=True)
class Chain:
    """How often one state was followed by another, by conversion (True) or by loss (False)."""

    order: int
    steps: dict[State, dict[State | bool, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, channels: Sequence[str], conversions: int, losses: int) -> None:
        """Count the steps of journeys through the same channels."""
        state = START
        for channel in channels:
            after = (*state, channel)[-self.order :]
            self.steps[state][after] += conversions + losses
            state = after
        self.steps[state][True] += conversions
        self.steps[state][False] += losses

    def chances(self) -> Chances:
        """To convert from the start."""
        moves = Moves.of(self)
        return moves.at_once() if len(moves.states) <= DENSE else moves.by_steps()


@dataclass(frozen=True, slots=True)
class Moves:
    """The chain in numbers: the chance of each step from one state to another, and of each state to convert next."""

    states: Sequence[State]
    source: NDArray[Any]
    target: NDArray[Any]
    chance: NDArray[Any]
    converts: NDArray[Any]

    @classmethod
    def of(cls, chain: Chain) -> Moves:
        """Only of states that somebody was in; the start is the first."""
        import numpy as np

        totals = {state: sum(after.values()) for state, after in chain.steps.items()}
        states = [START, *(state for state, total in totals.items() if total and state != START)]
        number = {state: n for n, state in enumerate(states)}
        found = [
            (number[state], number[after], count / totals[state])
            for state in states
            for after, count in chain.steps[state].items()
            if isinstance(after, tuple) and count
        ]
        source, target, chance = zip(*found, strict=True) if found else ((), (), ())
        converts = [chain.steps[state].get(True, 0) / (totals.get(state) or 1) for state in states]
        ints = (np.array(source, dtype=np.intp), np.array(target, dtype=np.intp))
        return cls(states, *ints, np.array(chance, dtype=float), np.array(converts, dtype=float))

    @property
    def of_channel(self) -> Mapping[str, NDArray[Any]]:
        """The states whose newest channel each is."""
        import numpy as np

        found: dict[str, list[int]] = defaultdict(list)
        for n, state in enumerate(self.states[1:], 1):
            found[state[-1]].append(n)
        return {channel: np.array(numbers) for channel, numbers in sorted(found.items())}

    def at_once(self) -> Chances:
        """By the fundamental matrix."""
        import numpy as np

        size = len(self.states)
        matrix = np.eye(size)
        np.subtract.at(matrix, (self.source, self.target), self.chance)
        visits = np.linalg.inv(matrix)
        chances = visits @ self.converts
        lost = {
            channel: visits[0, group] @ np.linalg.solve(visits[np.ix_(group, group)], chances[group])
            for channel, group in self.of_channel.items()
        }
        whole = float(chances[0])
        return Chances(whole, {channel: whole - float(part) for channel, part in lost.items()})

    def by_steps(self) -> Chances:
        """By walking: ``mass`` is where journeys are, a column for each channel that is left out and one for none."""
        import numpy as np

        groups = self.of_channel
        source, target, chance, converts = self._without_loops()
        heads = np.flatnonzero(np.diff(target, prepend=-1))
        kept = np.ones((len(self.states), len(groups) + 1))
        for column, group in enumerate(groups.values()):
            kept[group, column] = 0
        mass = np.zeros_like(kept)
        mass[0] = 1
        converted = np.zeros(len(groups) + 1)
        for _ in range(STEPS):
            converted += converts @ mass
            moved = np.add.reduceat(mass[source] * chance[:, None], heads, axis=0)
            mass = np.zeros_like(kept)
            mass[target[heads]] = moved
            mass *= kept
            if mass.sum(axis=0).max() <= LEFT:
                break
        *without, whole = (float(one) for one in converted)
        return Chances(whole, dict(zip(groups, without, strict=True)))

    def _without_loops(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Steps in the order of their targets, and conversions, of whoever leaves a state: staying in it changes nothing."""
        import numpy as np

        loops = self.source == self.target
        leaving = np.ones(len(self.states))
        leaving[self.source[loops]] -= self.chance[loops]
        order = np.argsort(self.target[~loops], kind="stable")
        source, target, chance = (part[~loops][order] for part in (self.source, self.target, self.chance))
        return source, target, chance / leaving[source], self.converts / leaving
