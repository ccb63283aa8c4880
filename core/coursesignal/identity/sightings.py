"""What was seen of people, and which people that makes. Pure: the same sightings in any order make the same people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Literal
from uuid import UUID

from coursesignal.db.ids import uuid7
from coursesignal.groups import Groups
from coursesignal.identity.emails import email_key, mailbox_of

Kind = Literal["email", "mailbox", "contact"]
Identifier = tuple[Kind, str]
NAMED_TOGETHER = "an e-mail address and a platform's contact named together"
SAME_MAILBOX = "two addresses of one mailbox"


@dataclass(frozen=True)
class Sighting:
    """Somebody was named by an e-mail address, by a platform's contact id, or by both."""

    email: str | None
    contact_id: str | None
    name: str | None
    evidence: str
    seen_at: datetime
    with_mailbox: bool = False
    """Whether addresses of one mailbox are one person's."""

    @cached_property
    def identifiers(self) -> Sequence[Identifier]:
        """The e-mail's key first."""
        found: list[Identifier] = []
        if (key := email_key(self.email)) is not None:
            found.append(("email", key))
            if self.with_mailbox:
                found.append(("mailbox", mailbox_of(key)))
        if self.contact_id:
            found.append(("contact", self.contact_id))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Identified:
    """A visitor gave an e-mail address."""

    visitor_id: UUID
    email: str
    evidence: str
    seen_at: datetime

    @property
    def order(self) -> tuple[datetime, str]:
        """The least names the visitor's person, whichever arrived first."""
        return (self.seen_at, email_key(self.email) or "")


@dataclass(slots=True)
class Person:
    """Somebody as the sightings show them; ``absorbed`` are people who turned out to be the same, each with the reason."""

    id: UUID
    is_new: bool
    absorbed: Mapping[UUID, str] = field(default_factory=dict[UUID, str])
    name: str | None = None
    identifiers: dict[Identifier, tuple[datetime, str]] = field(default_factory=dict)
    """When each was first seen, and the evidence of that."""


def people_in(sightings: Sequence[Sighting], holders: Mapping[Identifier, UUID]) -> list[Person]:
    """The people behind ``sightings``; ``holders`` says whom the identifiers that are known belong to."""
    groups = _grouped(sightings, holders)
    people: dict[Identifier | UUID, Person] = {}
    for sighting in sorted(sightings, key=lambda one: (one.seen_at, one.name or "")):
        if sighting.identifiers:
            _see(people.setdefault(groups.of(sighting.identifiers[0]), Person(UUID(int=0), True)), sighting)
    members = groups.members()
    for root, person in people.items():
        known = sorted(member for member in members[root] if isinstance(member, UUID))
        person.id, person.is_new = (known[0], False) if known else (uuid7(), True)
        person.absorbed = dict.fromkeys(known[1:], NAMED_TOGETHER)
    if any(one.with_mailbox and person.absorbed for one in sightings for person in people.values()):
        _say_why(people.values(), sightings, holders)
    return list(people.values())


def _grouped(sightings: Sequence[Sighting], holders: Mapping[Identifier, UUID]) -> Groups[Identifier | UUID]:
    groups = Groups[Identifier | UUID]()
    for sighting in sightings:
        groups.unite(sighting.identifiers)
    for identifier, person_id in holders.items():
        groups.unite((identifier, person_id))
    return groups


def _say_why(people: Iterable[Person], sightings: Sequence[Sighting], holders: Mapping[Identifier, UUID]) -> None:
    """Whoever would not have been absorbed without regard to mailboxes was for one."""
    plain = _grouped(
        [replace(one, with_mailbox=False) for one in sightings],
        {one: person_id for one, person_id in holders.items() if one[0] != "mailbox"},
    )
    for person in people:
        for loser in person.absorbed:
            if plain.of(loser) != plain.of(person.id):
                person.absorbed = {**person.absorbed, loser: SAME_MAILBOX}


def _see(person: Person, sighting: Sighting) -> None:
    person.name = person.name or sighting.name
    for identifier in sighting.identifiers:
        seen = (sighting.seen_at, sighting.evidence)
        person.identifiers[identifier] = min(person.identifiers.get(identifier, seen), seen)
