"""The database's own catalogue says whether tenancy holds: a table that breaks a rule breaks the build."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from coursesignal.db.ddl import TENANT_MATCH
from coursesignal.runtime import Runtime

CONTROL_PLANE = {
    "agencies": "agencies own tenants",
    "tenants": "the list of tenants itself",
    "users": "a person may belong to several tenants",
    "memberships": "answers which tenants a user may see",
    "auth_tokens": "belong to a user",
    "auth_sessions": "belong to a user",
    "refresh_history": "belongs to a user's session",
    "rate_limits": "counters by bucket",
    "mails": "sealed mails, some before there is a tenant",
    "cron_runs": "one run per due time of the installation",
    "cookieless_salts": "one salt a day for the whole installation",
    "saq_jobs": "the queue's slips: ids and lease tokens of outbox rows",
    "saq_stats": "what each worker's queue says of itself",
    "migration": "Piccolo's record of migrations",
}
"""Tables without row-level security, each with its reason."""

DOORS = {
    "door_api_key",
    "door_site",
    "door_connection",
    "door_tenants_with_events",
    "door_lease_outbox",
    "door_share",
    "door_notices",
    "ensure_event_partition",
}
"""Every SECURITY DEFINER function there may be."""

OWNERS_DOORS = {
    "api_keys", "sites", "connections", "event_batches", "outbox", "share_links", "notices", "plugin_states",
}  # fmt: skip
"""Tables the definer functions may read across tenants."""


@pytest.fixture(scope="module")
async def catalogue(installation: Runtime) -> dict[str, Any]:
    connection = await asyncpg.connect(installation.where.owner)
    try:
        tables = await connection.fetch(
            """
            select c.oid, c.relname as name, c.relkind::text as kind, c.relrowsecurity as rls, c.relforcerowsecurity as forced,
                   c.relispartition as partition, pg_get_userbyid(c.relowner) as owner,
                   exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'
                           and a.attnotnull and not a.attisdropped) as tenant
            from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
            """
        )
        policies = await connection.fetch("select * from pg_policies where schemaname = 'public'")
        keys = await connection.fetch(
            """
            select conrelid::regclass::text as name, contype::text as kind, pg_get_constraintdef(oid) as definition
            from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f')
            """
        )
        indexes = await connection.fetch(
            "select tablename as name, indexdef as definition from pg_indexes where schemaname = 'public'"
        )
        functions = await connection.fetch(
            "select proname as name, proconfig as config, proacl::text as acl from pg_proc "
            "where pronamespace = 'public'::regnamespace and prosecdef"
        )
        roles = await connection.fetch("select * from pg_roles where rolname like 'cs\\_%'")
        grants = await connection.fetch(
            "select grantee, table_name, privilege_type from information_schema.role_table_grants "
            "where table_schema = 'public' and grantee in ('cs_app', 'cs_ingest', 'PUBLIC')"
        )
        members = await connection.fetch(
            "select r.rolname as role, m.rolname as member from pg_auth_members a "
            "join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member"
        )
    finally:
        await connection.close()
    return {
        "tables": {row["name"]: dict(row) for row in tables},
        "policies": [dict(row) for row in policies],
        "keys": [dict(row) for row in keys],
        "indexes": [dict(row) for row in indexes],
        "functions": [dict(row) for row in functions],
        "roles": {row["rolname"]: dict(row) for row in roles},
        "grants": [dict(row) for row in grants],
        "members": [(row["role"], row["member"]) for row in members],
    }


def _tenant_tables(catalogue: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: table for name, table in catalogue["tables"].items() if name not in CONTROL_PLANE}


def test_every_table_is_a_tenants_or_has_a_reason_not_to_be(catalogue: dict[str, Any]) -> None:
    strangers = {name for name, table in _tenant_tables(catalogue).items() if not table["tenant"]}
    assert not strangers, f"no tenant_id and no reason in CONTROL_PLANE: {sorted(strangers)}"


def test_row_level_security_is_on_and_forced_on_every_tenant_table_and_partition(catalogue: dict[str, Any]) -> None:
    open_tables = {name for name, table in _tenant_tables(catalogue).items() if not (table["rls"] and table["forced"])}
    assert not open_tables, f"row-level security is not enabled and forced on {sorted(open_tables)}"


def test_every_tenant_table_has_the_one_policy(catalogue: dict[str, Any]) -> None:
    wanted = TENANT_MATCH.replace(" ", "")
    for name in _tenant_tables(catalogue):
        own = [p for p in catalogue["policies"] if p["tablename"] == name and p["policyname"] == "tenant_isolation"]
        assert len(own) == 1, f"{name} has no policy tenant_isolation"
        text = own[0]["qual"].replace(" ", "").replace("::text", "").replace("NULLIF", "nullif").strip("()")
        assert "tenant_id=" in text, (name, own[0]["qual"])
        assert "nullif(current_setting('app.tenant_id',true),'')" in text.replace("(nullif", "nullif"), (
            name,
            wanted,
            text,
        )
        assert own[0]["roles"] == ["public"], f"the policy of {name} does not bind every role"


def test_other_policies_are_only_the_owners_doors_and_the_ingest_role(catalogue: dict[str, Any]) -> None:
    others = [p for p in catalogue["policies"] if p["policyname"] != "tenant_isolation"]
    for policy in others:
        if policy["roles"] == ["cs_owner"]:
            assert policy["tablename"] in OWNERS_DOORS, policy
        else:
            assert policy["roles"] == ["cs_ingest"], policy
            assert policy["cmd"] == "INSERT", policy
            assert policy["tablename"] in {"events", "event_batches"}, policy


def test_every_key_of_a_tenant_table_leads_with_the_tenant(catalogue: dict[str, Any]) -> None:
    names = _tenant_tables(catalogue)
    wrong = [
        (key["name"], key["definition"])
        for key in catalogue["keys"]
        if key["name"].strip('"') in names and not key["definition"].split("(", 1)[1].startswith("tenant_id")
    ]
    assert not wrong, wrong
    primary = {key["name"] for key in catalogue["keys"] if key["kind"] == "p"}
    assert set(names) <= primary, f"no primary key: {sorted(set(names) - primary)}"


def test_a_foreign_key_between_tenant_tables_carries_the_tenant(catalogue: dict[str, Any]) -> None:
    names = _tenant_tables(catalogue)
    for key in catalogue["keys"]:
        if key["kind"] == "f" and key["name"] in names:
            referenced = key["definition"].split("REFERENCES ")[1]
            assert "(tenant_id, " in referenced, (key["name"], key["definition"])


LOOKUP_INDEXES = {
    "api_keys_hash_idx",
    "sites_key_idx",
    "connections_hash_idx",
    "connections_previous_idx",
    "outbox_due_idx",
    "share_links_hash_idx",
    "notices_board_idx",
}
"""Indexes that serve the doors, which look across tenants; every other one leads with the tenant."""


def test_every_index_of_a_tenant_table_leads_with_the_tenant(catalogue: dict[str, Any]) -> None:
    wrong = [
        index["definition"]
        for index in catalogue["indexes"]
        if index["name"] in _tenant_tables(catalogue)
        and "(tenant_id" not in index["definition"]
        and not any(f" {name} " in index["definition"] for name in LOOKUP_INDEXES)
    ]
    assert not wrong, wrong


def test_definer_functions_are_the_listed_doors_with_a_pinned_path(catalogue: dict[str, Any]) -> None:
    assert {function["name"] for function in catalogue["functions"]} == DOORS
    for function in catalogue["functions"]:
        assert any(setting.startswith("search_path=") for setting in function["config"] or ()), function["name"]
        assert not (function["acl"] or "=X").startswith("{=X"), f"{function['name']} may be called by everybody"


def test_no_role_of_ours_is_a_superuser_an_owner_or_bypasses_policies(catalogue: dict[str, Any]) -> None:
    assert set(catalogue["roles"]) == {"cs_owner", "cs_app", "cs_ingest"}
    for name, role in catalogue["roles"].items():
        assert not (role["rolsuper"] or role["rolbypassrls"] or role["rolcreaterole"] or role["rolcreatedb"]), name
    owners = {table["owner"] for table in catalogue["tables"].values()}
    assert owners == {"cs_owner"}
    assert not [
        member for role, member in catalogue["members"] if role == "cs_owner" and member in {"cs_app", "cs_ingest"}
    ]


def test_the_ingest_role_may_only_append_and_nobody_may_touch_partitions_or_truncate(catalogue: dict[str, Any]) -> None:
    partitions = {name for name, table in catalogue["tables"].items() if table["partition"]}
    for grant in catalogue["grants"]:
        assert grant["grantee"] != "PUBLIC", grant
        assert grant["privilege_type"] != "TRUNCATE", grant
        assert grant["table_name"] not in partitions, grant
        if grant["grantee"] == "cs_ingest":
            assert grant["privilege_type"] == "INSERT", grant
            assert grant["table_name"] in {"events", "event_batches"}, grant


def test_there_is_no_view_that_runs_as_its_owner(catalogue: dict[str, Any]) -> None:
    assert not [name for name, table in catalogue["tables"].items() if table["kind"] in {"v", "m"}]


async def test_a_transaction_sees_its_tenants_rows_only(installation: Runtime, make_tenant: Any) -> None:
    one, two = await make_tenant(), await make_tenant()
    async with one.transaction() as conn:
        assert await conn.fetchval("select count(*) from sites") == 1
        assert await conn.fetchval("select count(*) from sites where tenant_id = $1", two.id) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with conn.transaction():
                await conn.execute("insert into sites (tenant_id, public_key, name) values ($1, 'x', 'x')", two.id)
        assert await conn.execute("delete from sites where tenant_id = $1", two.id) == "DELETE 0"
    async with installation.database.control() as conn:
        assert await conn.fetchval("select count(*) from sites") == 0


async def test_a_failed_commit_releases_its_connection(installation: Runtime, make_tenant: Any) -> None:
    acting = await make_tenant()
    for _ in range(installation.settings.pool_size * 2):
        with pytest.raises(ZeroDivisionError):
            async with acting.transaction():
                raise ZeroDivisionError
    async with acting.transaction() as conn:
        assert await conn.fetchval("select 1") == 1
