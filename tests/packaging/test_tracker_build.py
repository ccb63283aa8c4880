"""The build holds the tracker to its size, says it, and needs Node only when there is something to build."""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build() -> ModuleType:
    """hatch_build.py, as hatchling loads it."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tracker_is_under_a_kilobyte_and_a_half_gzipped(build: ModuleType) -> None:
    assert len(gzip.compress(build.BUILT.read_bytes(), 9)) <= build.MAX_GZIPPED_BYTES == 1536


def test_the_build_says_the_size(build: ModuleType) -> None:
    said = subprocess.run([sys.executable, ROOT / "hatch_build.py"], check=True, capture_output=True, text=True).stdout
    assert f"{len(gzip.compress(build.BUILT.read_bytes(), 9)):,} gzipped (at most 1,536)" in said


def test_a_tracker_above_the_size_fails_the_build(build: ModuleType) -> None:
    too_large = os.urandom(1600)
    with pytest.raises(build.BuildFailed, match=r"at most 1,536\): \d+ too many"):
        build.measured(too_large)


def test_without_the_minifier_an_editable_install_serves_the_source_until_a_build_can(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, built = tmp_path / "t.js", tmp_path / "t.min.js"
    source.write_text("let answer = 42;")
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setattr(build, "BUILT", built)
    build.stand_in()
    assert built.read_text() == source.read_text()
    assert not build.is_built()


def test_node_is_asked_for_only_when_the_source_is_younger_than_what_was_built(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, built = tmp_path / "t.js", tmp_path / "t.min.js"
    source.write_text("let answer = 42;")
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setattr(build, "BUILT", built)
    hook = build.CustomBuildHook(str(ROOT), {}, None, None, "", "wheel")
    assert hook.dependencies() == [build.NODE]
    built.write_text("let answer=42")
    assert hook.dependencies() == []
    os.utime(built, (0, 0))
    assert hook.dependencies() == [build.NODE]
