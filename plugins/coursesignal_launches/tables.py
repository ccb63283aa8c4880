"""The plugin's tables, described for queries; its migrations make them."""

from __future__ import annotations

from piccolo.columns import JSONB, UUID, Array, BigInt, Integer, Text, Timestamptz
from piccolo.table import Table


class LaunchesLaunches(Table, tablename="launches_launches"):
    """A launch."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    title = Text()
    description = Text()
    starts_at = Timestamptz()
    ends_at = Timestamptz()
    prelaunch_at = Timestamptz(null=True)
    last_day_at = Timestamptz(null=True)
    post_ends_at = Timestamptz(null=True)
    revenue_goal_minor = BigInt(null=True)
    sales_goal = Integer(null=True)
    products = Array(base_column=Text())
    status = Text()
    archived_at = Timestamptz(null=True)
    created_at = Timestamptz()
    changed_at = Timestamptz()


class LaunchesPins(Table, tablename="launches_pins"):
    """A purchase that was put into a launch, or into none, by hand."""

    purchase_id = UUID(primary_key=True)
    tenant_id = UUID()
    launch_id = UUID(null=True)
    pinned_at = Timestamptz()


class LaunchesResults(Table, tablename="launches_results"):
    """What a completed launch brought in."""

    launch_id = UUID(primary_key=True)
    tenant_id = UUID()
    basis = Text()
    results = JSONB()
    corrections = JSONB()
    frozen_at = Timestamptz()
