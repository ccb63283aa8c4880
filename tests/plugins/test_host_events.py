"""Events reach the plugins a tenant has on, at least once; a plugin that fails hurts only itself and is called by its name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from coursesignal_sample.fake import FakeSample

from coursesignal import events
from coursesignal.db.ids import uuid7
from coursesignal.events import Event
from coursesignal.jobs import outbox
from coursesignal.plugins.crons import crons_of
from coursesignal.plugins.watchdog import WATCHDOG
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

RunJobs = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def installation(sample_installation: Runtime, sample_platform: FakeSample) -> Runtime:
    return sample_installation


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    """A tenant with the sample plugin on."""
    return await make_tenant(plugins=("sample",))


async def publish(tenant: ActingTenant, event: Event) -> None:
    async with tenant.transaction() as conn:
        await outbox.publish(conn, event)


async def notes(tenant: ActingTenant) -> dict[str, list[str]]:
    """What the sample plugin noted, by kind."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch("select kind, body from sample_notes where tenant_id = $1 order by id", tenant.id)
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row["body"])
    return found


async def set_mood(tenant: ActingTenant, mood: str) -> None:
    async with tenant.transaction() as conn:
        await conn.execute(
            "update plugin_states set settings = $2 where tenant_id = $1 and plugin = 'sample'",
            tenant.id,
            {"mood": mood},
        )


async def hook_task(tenant: ActingTenant, name: str = "purchase_recorded") -> Any:
    async with tenant.transaction() as conn:
        return await conn.fetchrow(
            "select * from outbox where tenant_id = $1 and kind = 'hook' and name = $2 order by created_at desc limit 1",
            tenant.id,
            name,
        )


async def make_due(tenant: ActingTenant) -> None:
    """Let the pauses before further attempts pass."""
    async with tenant.transaction() as conn:
        await conn.execute(
            "update outbox set run_at = now(), lease_until = null where tenant_id = $1 and status = 'pending'",
            tenant.id,
        )


async def state(tenant: ActingTenant) -> tuple[str, str | None]:
    async with tenant.transaction() as conn:
        row = await conn.fetchrow(
            "select state, problem from plugin_states where tenant_id = $1 and plugin = 'sample'", tenant.id
        )
    return row["state"], row["problem"]


def example(kind: type[Event], tenant_id: UUID) -> Event:
    """An event of that kind."""
    values: dict[str, Any] = {
        "visitor_id": uuid7(), "person_id": uuid7(), "from_person_id": uuid7(), "into_person_id": uuid7(),
        "touch_ids": (uuid7(),), "purchase_id": uuid7(), "amount_minor": 4200, "currency": "USD", "rule": "r", "key": "k",
        "title": "A title", "connection_id": uuid7(), "platform": "sample", "reason": "because", "processed": 3, "matched": 2,
    }  # fmt: skip
    own = {name: values[name] for name in kind.__struct_fields__ if name in values}
    return kind(id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC), **own)


def purchase(tenant: ActingTenant) -> Event:
    return example(events.PurchaseRecorded, tenant.id)


async def test_every_event_reaches_its_hook(
    tenant: ActingTenant, run_jobs: RunJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for kind in events.EVENTS:
        await publish(tenant, example(kind, tenant.id))
    await run_jobs()
    noted = await notes(tenant)
    synchronous = {"sync_completed"}
    assert set(noted) == {event.name for event in events.EVENTS} - synchronous
    assert noted["purchase_refunded"] == ["4200 USD"]
    assert noted["connection_lost"] == ["because"]
    assert "synced 3, matched 2" in caplog.messages


async def test_an_event_delivered_twice_makes_one_note(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    event = purchase(tenant)
    await publish(tenant, event)
    await publish(tenant, event)
    await run_jobs()
    async with tenant.transaction() as conn:  # as if the worker had died after the hook and before the task was done
        await conn.execute("update outbox set status = 'pending', lease_token = null where tenant_id = $1", tenant.id)
    await make_due(tenant)
    await run_jobs()
    assert (await notes(tenant))["purchase_recorded"] == ["4200 USD"]


async def test_a_tenant_without_the_plugin_is_not_told_about(make_tenant: TenantMaker, run_jobs: RunJobs) -> None:
    without, ungranted = await make_tenant(plugins=()), await make_tenant(plugins=("sample",))
    async with ungranted.transaction() as conn:
        await conn.execute("update plugin_states set granted = false where tenant_id = $1", ungranted.id)
    for other in (without, ungranted):
        await publish(other, purchase(other))
    await run_jobs()
    for other in (without, ungranted):
        assert await notes(other) == {}
        assert await hook_task(other) is None


async def test_a_plugin_turned_off_after_the_event_is_not_called_any_more(
    tenant: ActingTenant, run_jobs: RunJobs
) -> None:
    async with tenant.transaction() as conn:
        payload = {"id": str(uuid7())}
        await outbox.put(conn, tenant.id, "hook", "purchase_recorded", payload, plugin="sample")
        await conn.execute("update plugin_states set enabled = false where tenant_id = $1", tenant.id)
    await run_jobs()
    assert await notes(tenant) == {}
    assert (await hook_task(tenant))["status"] == "done"


async def test_a_hook_that_raises_is_named_shown_and_tried_again(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    await set_mood(tenant, "raises")
    await publish(tenant, purchase(tenant))
    await run_jobs()
    task = await hook_task(tenant)
    assert task["status"] == "pending"
    assert task["attempts"] == 1
    assert task["last_error"].startswith(
        "plugin 'sample': hook purchase_recorded raised ValueError: the sample plugin is in a bad mood. "
        "Correct the plugin, or turn it off for this tenant."
    )
    assert await state(tenant) == (
        "failing",
        "purchase_recorded: raised ValueError: the sample plugin is in a bad mood",
    )

    await set_mood(tenant, "well")
    await make_due(tenant)
    await run_jobs()
    assert (await hook_task(tenant))["status"] == "done"
    assert await state(tenant) == ("ok", None)


async def test_a_hook_that_keeps_raising_ends_as_a_dead_letter(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    await set_mood(tenant, "raises")
    await publish(tenant, purchase(tenant))
    for _ in range(outbox.MAX_ATTEMPTS + 1):
        await run_jobs()
        await make_due(tenant)
    task = await hook_task(tenant)
    assert (task["status"], task["attempts"]) == ("dead", outbox.MAX_ATTEMPTS)
    assert "plugin 'sample': hook purchase_recorded" in task["last_error"]


async def test_a_failing_plugin_hurts_neither_other_tenants_nor_its_own_other_hooks(
    tenant: ActingTenant, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    other = await make_tenant(plugins=("sample",))
    await set_mood(tenant, "raises")
    await publish(tenant, purchase(tenant))
    await publish(tenant, example(events.PurchaseRefunded, tenant.id))
    await publish(other, purchase(other))
    await run_jobs()
    assert (await notes(tenant))["purchase_refunded"] == ["4200 USD"]
    assert (await notes(other))["purchase_recorded"] == ["4200 USD"]
    assert await state(other) == ("ok", None)


async def test_a_hook_that_hangs_is_ended_and_named(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    await set_mood(tenant, "hangs")
    await publish(tenant, purchase(tenant))
    async with asyncio.timeout(20):
        await run_jobs()
    assert (await hook_task(tenant))["last_error"].startswith(
        "plugin 'sample': hook purchase_recorded did not finish within 1 s. Make it do less, or move the work to a job."
    )


async def test_a_synchronous_hook_that_hangs_is_left_behind_and_named(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    await set_mood(tenant, "hangs")
    await publish(tenant, example(events.SyncCompleted, tenant.id))
    async with asyncio.timeout(20):
        await run_jobs()
    task = await hook_task(tenant, "sync_completed")
    assert task["last_error"].startswith("plugin 'sample': hook sync_completed did not finish within 1 s.")


async def test_a_hook_that_answers_something_is_told_and_not_repeated(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    await set_mood(tenant, "answers")
    await publish(tenant, purchase(tenant))
    await run_jobs()
    assert (await hook_task(tenant))["status"] == "done"
    reason = "returned str instead of nothing; correct the plugin"
    assert await state(tenant) == ("failing", f"purchase_recorded: {reason}")


async def test_a_hook_that_blocks_the_loop_is_found_by_the_watchdog(
    tenant: ActingTenant, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[str] = []
    monkeypatch.setattr(WATCHDOG, "grace_s", 0.2)
    monkeypatch.setattr(WATCHDOG, "when_blocked", found.append)
    await set_mood(tenant, "blocks")
    await publish(tenant, purchase(tenant))
    await run_jobs()
    assert found == ["plugin 'sample': hook purchase_recorded"]
    (message,) = [message for message in caplog.messages if "blocks the event loop" in message]
    assert "Make it await, or move the work to a thread" in message
    assert "time.sleep(3)" in message


async def test_settings_that_do_not_fit_any_more_stop_the_plugin_with_a_message(
    tenant: ActingTenant, run_jobs: RunJobs
) -> None:
    await set_mood(tenant, "unheard of")
    await publish(tenant, purchase(tenant))
    await run_jobs()
    error = (await hook_task(tenant))["last_error"]
    assert error.startswith("plugin 'sample': its stored settings do not fit: settings.mood (Invalid enum value")
    assert error.endswith("Save them again under Plugins.")


async def test_settings_of_an_older_version_are_migrated_when_read(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    async with tenant.transaction() as conn:
        await conn.execute(
            "update plugin_states set settings = $2, settings_version = 1 where tenant_id = $1",
            tenant.id,
            {"hello": "Ahoy"},
        )
        await outbox.put(conn, tenant.id, "hook", "plugin_enabled", {}, plugin="sample")
    await run_jobs()
    assert (await notes(tenant))["plugin_enabled"] == ["Ahoy"]


async def test_settings_of_a_newer_version_are_left_alone(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    async with tenant.transaction() as conn:
        await conn.execute(
            "update plugin_states set settings = $2, settings_version = 3 where tenant_id = $1", tenant.id, {"new": 1}
        )
    await publish(tenant, purchase(tenant))
    await run_jobs()
    assert (await hook_task(tenant))["last_error"] == (
        "plugin 'sample': its settings were saved by a newer version of it. Install that version again."
    )


async def test_a_plugin_that_is_gone_keeps_its_tasks_for_when_it_is_back(
    tenant: ActingTenant, run_jobs: RunJobs
) -> None:
    async with tenant.transaction() as conn:
        await outbox.put(conn, tenant.id, "hook", "purchase_recorded", {}, plugin="vanished")
    await run_jobs()
    task = await hook_task(tenant)
    assert task["status"] == "pending"
    assert task["last_error"].startswith(
        "plugin 'vanished': purchase_recorded cannot run: the plugin is not loaded. Add it"
    )


async def test_jobs_run_with_their_arguments_and_keys_make_them_one(
    client: Any, tenant: ActingTenant, run_jobs: RunJobs, installation: Runtime
) -> None:
    for _ in range(2):
        body = {"to": "pat@example.com", "name": "Pat"}
        answer = await client.post("/api/sample/greet", headers=tenant.headers, json=body)
        assert answer.status_code == 202, answer.text
    async with tenant.transaction() as conn:
        queued = await conn.fetch(
            "select name, plugin, payload from outbox where tenant_id = $1 and kind = 'job'", tenant.id
        )
    assert [tuple(row) for row in queued] == [("sample.greet", "sample", body)]
    await run_jobs()
    async with installation.database.control() as conn:
        mails = await conn.fetchval("select count(*) from mails where tenant_id = $1", tenant.id)
    assert mails == 1


async def test_a_job_does_not_run_for_a_tenant_that_turned_the_plugin_off(
    tenant: ActingTenant, run_jobs: RunJobs
) -> None:
    async with tenant.transaction() as conn:
        await outbox.enqueue(conn, tenant.id, "sample.count", {}, plugin="sample")
        await conn.execute("update plugin_states set enabled = false where tenant_id = $1", tenant.id)
    await run_jobs()
    assert await notes(tenant) == {}


async def test_a_job_called_wrongly_is_a_failure_with_its_name(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    async with tenant.transaction() as conn:
        await outbox.enqueue(conn, tenant.id, "sample.count", {"nonsense": 1}, plugin="sample")
    await run_jobs()
    async with tenant.transaction() as conn:
        error = await conn.fetchval("select last_error from outbox where tenant_id = $1 and kind = 'job'", tenant.id)
    assert error.startswith("plugin 'sample': job count raised TypeError: ")
    assert "nonsense" in error


async def test_a_schedule_runs_once_per_due_time_for_tenants_that_have_the_plugin_on(
    tenant: ActingTenant, make_tenant: TenantMaker, run_jobs: RunJobs, installation: Runtime
) -> None:
    off = await make_tenant(plugins=())
    (nightly,) = crons_of(installation)
    assert (nightly.name, nightly.schedule) == ("sample.nightly", "15 3 * * *")
    due_at = datetime(2030, 1, 1, 3, 15, tzinfo=UTC)
    await asyncio.gather(nightly.run(due_at), nightly.run(due_at))
    await nightly.run(due_at)
    await run_jobs()
    assert await notes(tenant) == {"count": ["0"]}
    assert await notes(off) == {}
    await nightly.run(due_at + timedelta(days=1))
    await run_jobs()
    assert await notes(tenant) == {"count": ["0", "1"]}


async def test_purging_erases_rows_settings_and_what_is_at_the_platform(
    tenant: ActingTenant,
    make_tenant: TenantMaker,
    run_jobs: RunJobs,
    installation: Runtime,
    sample_platform: FakeSample,
) -> None:
    from coursesignal.plugins.lifecycle import purge

    other = await make_tenant(plugins=("sample",))
    for one in (tenant, other):
        await publish(one, purchase(one))
    await run_jobs()
    async with tenant.transaction() as conn:
        await purge(conn, tenant.id, installation.registry.by_slug["sample"])
    await run_jobs()
    assert await notes(tenant) == {}
    assert await notes(other) == {"purchase_recorded": ["4200 USD"]}
    assert sample_platform.purged == [str(tenant.id)]
    async with tenant.transaction() as conn:
        row = await conn.fetchrow(
            "select enabled, settings, secrets from plugin_states where tenant_id = $1", tenant.id
        )
    assert tuple(row) == (False, {}, None)
