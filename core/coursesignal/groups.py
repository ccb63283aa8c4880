"""Disjoint groups: whatever was ever named together belongs together, in whatever order it was named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Groups(Generic[T]):
    """A partition of the things that :meth:`unite` was told about; one member stands for its group."""

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}

    def unite(self, things: Iterable[T]) -> None:
        """Put ``things``, with everything that is in a group with one of them, into one group."""
        roots = [self.of(thing) for thing in things]
        for root in roots[1:]:
            self._parent[self.of(root)] = self.of(roots[0])

    def of(self, thing: T) -> T:
        """The member that stands for the group of ``thing``; a stranger is a group of its own from now on."""
        root = self._parent.setdefault(thing, thing)
        while root != self._parent[root]:
            root = self._parent[root]
        while thing != root:
            thing, self._parent[thing] = self._parent[thing], root
        return root

    def members(self) -> Mapping[T, Sequence[T]]:
        """Every group by the member that stands for it."""
        found: dict[T, list[T]] = defaultdict(list)
        for thing in list(self._parent):
            found[self.of(thing)].append(thing)
        return found
