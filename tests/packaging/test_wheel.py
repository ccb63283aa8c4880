"""What the wheel holds: the packages with their templates, migrations and docs, and nothing of the repository around them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {
    "coursesignal",
    "coursesignal_migrations",
    "coursesignal_kajabi",
    "coursesignal_teachable",
    "coursesignal_stripe",
    "coursesignal_launches",
    "coursesignal_recommendations",
    "coursesignal_email",
    "coursesignal_dashboard",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=110,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_nothing_named_core_or_plugins_or_tests_lands_in_site_packages(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == TOP


def test_every_file_of_the_packages_is_in_the_wheel(names: set[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "core", "plugins", "migrations"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    wanted = {name.split("/", 1)[1] for name in tracked if name.count("/") > 1}
    assert not wanted - names


def test_typing_markers_manifests_migrations_templates_and_docs_ship(names: set[str]) -> None:
    for package in TOP - {"coursesignal_migrations"}:
        assert f"{package}/py.typed" in names, package
    for package in TOP - {"coursesignal", "coursesignal_migrations"}:
        assert f"{package}/plugin.toml" in names, package
    assert any(name.startswith("coursesignal_migrations/coursesignal_") for name in names)
    assert any(name.startswith("coursesignal/docs/") for name in names)
    assert {"coursesignal/tracking/static/t.js", "coursesignal/tracking/static/t.min.js"} <= names


def test_no_tenants_file_and_no_secret_is_in_the_wheel(names: set[str]) -> None:
    assert not [name for name in names if "tenant.toml" in name or name.endswith((".env", "keys.json", ".eml"))]


def test_constraints_name_versions_and_no_addresses() -> None:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    assert all("==" in line and "://" not in line and "@" not in line for line in lines if line)
