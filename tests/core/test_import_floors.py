"""An import only ever points down the floors of the house, and core never imports a plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "coursesignal"
FLOORS = (
    {"__init__", "errors", "events", "reports", "currency", "groups"},
    {"settings"},
    {"db", "security"},
    {"plugin"},
    {"web"},
    {"jobs"},
    {"auth"},
    {"tenancy"},
    {"identity"},
    {"tracking", "commerce"},
    {"attribution"},
    {"analytics", "connections"},
    {"privacy"},
    {"plugins"},
    {"runtime"},
    {"app"},
    {"serve"},
    {"testing"},
    {"demo", "benchmark"},
    {"cli"},
    {"__main__"},
)
LEVEL = {name: number for number, floor in enumerate(FLOORS) for name in floor}
PUBLIC = {"coursesignal.plugin", "coursesignal.events", "coursesignal.testing"}


def _area(path: Path) -> str:
    first = path.relative_to(CORE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those for types only left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "coursesignal":
                yield from ((node.lineno, f"coursesignal.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def _core_files() -> list[Path]:
    return [path for path in CORE.rglob("*.py") if "docs" not in path.parts]


def test_every_part_of_core_has_a_floor() -> None:
    assert {_area(path) for path in _core_files()} <= set(LEVEL)


def test_core_imports_point_down_only() -> None:
    wrong = []
    for path in _core_files():
        here = _area(path)
        for line, module in _imports(path):
            if not module.startswith("coursesignal."):
                continue
            there = module.split(".")[1]
            if there != here and LEVEL.get(there, -1) >= LEVEL[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}, which is not below {here}")
    assert not wrong, "\n".join(wrong)


def test_core_never_imports_a_plugin() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in _core_files()
        for line, module in _imports(path)
        if module.startswith("coursesignal_") and not module.startswith("coursesignal_migrations")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", sorted(path.name for path in (ROOT / "plugins").glob("coursesignal_*")))
def test_a_plugin_imports_the_public_surface_only(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in (ROOT / "plugins" / package).rglob("*.py")
        for line, module in _imports(path)
        if module.startswith("coursesignal")
        and not module.startswith(package)
        and not any(module == name or module.startswith(f"{name}.") for name in PUBLIC)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_tenant_is_bound_in_one_place_and_never_for_a_session() -> None:
    mentions = [
        f"{path.relative_to(ROOT)}"
        for path in _core_files()
        if "set local app.tenant_id" in (text := path.read_text().lower()) or "set_config('app.tenant_id'" in text
    ]
    assert mentions == ["core/coursesignal/db/engine.py"]
