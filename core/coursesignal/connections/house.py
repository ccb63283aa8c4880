"""What connections need from the rest of the installation, handed down as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from coursesignal.db.engine import Database
from coursesignal.plugin import AttributionModel, BaseContext, Connector, Tenant
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings

Contexts = Callable[[Tenant, str], BaseContext]
"""The context in which a tenant's plugin works, by the plugin's slug."""


@dataclass(frozen=True, slots=True)
class House:
    """The parts of one process that connections work with."""

    db: Database
    keys: KeyRing
    settings: Settings
    connectors: Mapping[str, Connector[Any]]
    models: Mapping[str, AttributionModel]
    contexts: Contexts


class Process(Protocol):
    """One process's runtime, as far as connections look at it."""

    @property
    def database(self) -> Database: ...
    @property
    def keys(self) -> KeyRing: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def registry(self) -> Any:
        """Has ``connectors`` and ``models``, by slug."""
        ...

    @property
    def contexts(self) -> Contexts: ...


def house(process: Process) -> House:
    """The parts of ``process``."""
    registry = process.registry
    return House(
        process.database, process.keys, process.settings, registry.connectors, registry.models, process.contexts
    )
