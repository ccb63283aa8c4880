"""Joining people by hand and taking them apart again, through the API: credits, later arrivals, records, refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import TenantMaker
from coursesignal.testing.shop import START, Shop

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run) -> Shop:
    made = Shop(client, await make_tenant(), run_jobs)
    await made.open()
    await made.visit("youtube", 0, "ann@example.com")
    await made.visit("podcast", 1, "ann.work@example.com")
    await made.sell(1, 3, "ann@example.com")
    return made


async def test_a_merge_brings_both_journeys_to_the_purchase_and_its_undoing_takes_them_back(shop: Shop) -> None:
    assert await shop.sources() == {"youtube": 10_000, "podcast": 0, "": 0}
    merge = await shop.merge("ann.work@example.com", "ann@example.com")
    assert await shop.sources() == {"youtube": 5_000, "podcast": 5_000, "": 0}
    joined = await shop.who("ann@example.com")
    assert {one["value"] for one in joined["identifiers"] if one["kind"] == "email"} == {
        "ann@example.com",
        "ann.work@example.com",
    }
    assert (joined["visitors"], joined["purchases"], joined["merges"][0]["reason"]) == (2, 1, "joined by hand")
    assert (await shop.call("POST", f"/merges/{merge}/undo")).status_code == 200
    assert await shop.sources() == {"youtube": 10_000, "podcast": 0, "": 0}
    one, other = await shop.who("ann@example.com"), await shop.who("ann.work@example.com")
    assert (one["visitors"], one["purchases"], other["visitors"], other["purchases"]) == (1, 1, 1, 0)
    assert (one["keptApartFrom"], other["keptApartFrom"]) == ([other["id"]], [one["id"]])


async def test_what_came_after_a_merge_goes_to_whom_it_names_when_it_is_undone(shop: Shop) -> None:
    merge = await shop.merge("ann.work@example.com", "ann@example.com")
    await shop.visit("newsletter", 4, "ann.work@example.com")
    await shop.sell(2, 6, "ann.work@example.com", contact="c7")
    await shop.sell(3, 7, None, contact="c7")
    assert (await shop.who("ann@example.com"))["purchases"] == 3
    assert (await shop.call("POST", f"/merges/{merge}/undo")).status_code == 200
    one, other = await shop.who("ann@example.com"), await shop.who("ann.work@example.com")
    assert (one["purchases"], one["visitors"]) == (1 + 1, 1)  # the contact was first named in the merged person
    assert (other["purchases"], other["visitors"]) == (1, 2)


async def test_people_taken_apart_are_not_joined_again_by_what_joined_them(shop: Shop) -> None:
    await shop.sell(2, 4, "ann@example.com", contact="c1")
    await shop.sell(3, 5, "ann.work@example.com", contact="c1")
    (automatic,) = (await shop.call("GET", "/merges")).json()
    assert automatic["reason"] == "an e-mail address and a platform's contact named together"
    assert (await shop.call("POST", f"/merges/{automatic['id']}/undo")).status_code == 200
    await shop.sell(3, 5, "ann.work@example.com", contact="c1")  # told again
    await shop.sell(4, 6, "ann.work@example.com", contact="c1")
    one, other = await shop.who("ann@example.com"), await shop.who("ann.work@example.com")
    assert one["id"] != other["id"]
    assert {p["purchasedAt"][:10] for p in other["bought"]} == {
        (START + timedelta(days=day)).date().isoformat() for day in (5, 6)
    }
    assert len([m for m in (await shop.call("GET", "/merges")).json() if m["undoneAt"] is None]) == 0
    assert await shop.merge("ann.work@example.com", "ann@example.com")  # by hand it goes
    assert (await shop.who("ann@example.com"))["keptApartFrom"] == []


async def test_chains_come_apart_from_the_end(shop: Shop) -> None:
    await shop.visit("google", 2, "third@example.com")
    first = await shop.merge("ann.work@example.com", "ann@example.com")
    second = await shop.merge("ann@example.com", "third@example.com")
    early = await shop.call("POST", f"/merges/{first}/undo")
    assert (early.status_code, early.json()["title"]) == (409, "This person is part of another one by now.")
    for merge in (second, first):
        assert (await shop.call("POST", f"/merges/{merge}/undo")).status_code == 200
    assert await shop.sources() == {"youtube": 10_000, "podcast": 0, "google": 0, "": 0}
    again = await shop.call("POST", f"/merges/{first}/undo")
    assert (again.status_code, again.json()["title"]) == (409, "This merge was undone already.")


async def test_every_change_is_on_record(shop: Shop) -> None:
    merge = await shop.merge("ann.work@example.com", "ann@example.com")
    await shop.call("POST", f"/merges/{merge}/undo")
    answer = await shop.client.get("/api/audit", headers=shop.tenant.headers)
    entries = [entry for entry in answer.json()["items"] if entry["action"].startswith("people.")]
    assert [(entry["action"], entry["actor"]) for entry in entries] == [
        ("people.unmerged", shop.tenant.email),
        ("people.merged", shop.tenant.email),
    ]
    assert {entry["detail"]["merge"] for entry in entries} == {merge}


async def test_what_makes_no_sense_is_refused_in_words(shop: Shop) -> None:
    ann = (await shop.who("ann@example.com"))["id"]
    itself = await shop.call("POST", f"/{ann}/merge", into=ann)
    assert (itself.status_code, itself.json()["errors"][0]["path"]) == (422, "into")
    assert (await shop.call("POST", f"/{ann}/merge", into=str(uuid4()))).status_code == 404
    assert (await shop.call("POST", f"/merges/{uuid4()}/undo")).status_code == 404
    assert (await shop.call("GET", f"/{uuid4()}")).status_code == 404
    assert (await shop.call("GET", "?limit=0")).status_code == 422
    assert (await shop.call("GET", "?search=%00")).status_code == 422
    assert (await shop.call("GET", "?search=%25")).json()["items"] == []
