"""One declaration of a tenant table becomes the standard DDL: tenant first, composite keys, forced row-level security, grants.

Piccolo knows neither composite keys nor policies, so a table's DDL is SQL and its ``Table`` class only describes the columns
for queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

TENANT_MATCH = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
"""The one policy expression: an unset or spent setting matches no row."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """``(tenant_id, column)`` references ``table (tenant_id, id)``."""

    column: str
    table: str
    on_delete: str = "cascade"


def secure(table: str) -> list[str]:
    """Statements that put row-level security under ``table``, for its owner too."""
    return [
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy tenant_isolation on {table} using ({TENANT_MATCH}) with check ({TENANT_MATCH})",
    ]


def tenant_table(
    name: str,
    columns: str,
    *,
    key: str = "id",
    unique: Sequence[str] = (),
    foreign: Sequence[ForeignKey] = (),
    indexes: Sequence[str] = (),
    grants: str = "select, insert, update, delete",
) -> list[str]:
    """Statements for a tenant table.

    ``columns`` are SQL column definitions without ``tenant_id`` (and without ``id`` when ``key`` is "id"); ``unique`` and
    ``indexes`` are column lists to which ``tenant_id`` is prefixed.
    """
    parts = ["tenant_id uuid not null"]
    if key == "id":
        parts.append("id uuid not null default uuidv7()")
    parts.append(columns.strip().rstrip(","))
    parts.append(f"primary key (tenant_id, {key})")
    parts += [f"unique (tenant_id, {cols})" for cols in unique]
    for f in foreign:
        column = f" ({f.column})" if f.on_delete == "set null" else ""
        parts.append(
            f"foreign key (tenant_id, {f.column}) references {f.table} (tenant_id, id) on delete {f.on_delete}{column}"
        )
    body = ",\n    ".join(parts)
    statements = [f"create table {name} (\n    {body}\n)", *secure(name)]
    for number, cols in enumerate(indexes, 1):
        statements.append(f"create index {name}_{number}_idx on {name} (tenant_id, {cols})")
    statements.append(f"grant {grants} on {name} to cs_app")
    return statements


def migration(
    app: str, migration_id: str, description: str, *, up: Sequence[str], down: Sequence[str]
) -> MigrationManager:
    """A Piccolo migration that runs SQL statements, one per string; ``app`` is "coursesignal" or the plugin's slug."""
    manager = MigrationManager(migration_id=migration_id, app_name=app, description=description)

    async def forwards() -> None:
        for statement in up:
            await engine_finder().run_ddl(statement)  # type: ignore[union-attr]

    async def backwards() -> None:
        for statement in down:
            await engine_finder().run_ddl(statement)  # type: ignore[union-attr]

    manager.add_raw(forwards)
    manager.add_raw_backwards(backwards)
    return manager
