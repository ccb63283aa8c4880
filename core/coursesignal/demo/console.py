"""What the demo says, calmly: few lines, aligned, and always what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click

from coursesignal.demo.api import Api
from coursesignal.demo.compare import Line
from coursesignal.demo.shops import Shop

WIDTH = 48
TOP_SOURCES = 6
BAR = 48
PROGRESS = 40


def say(text: str = "") -> None:
    """One line for people, at once."""
    click.echo(text)


def step(text: str) -> None:
    """What begins now."""
    click.echo(click.style("· ", fg="cyan") + text)


def heading(text: str) -> None:
    """The title of a part."""
    click.echo("\n" + click.style(text, bold=True))


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values under each other."""
    shown = list(rows)
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"  {name.ljust(width)}  {value}")


def amount(minor: int, currency: str) -> str:
    """A two-decimal amount, as the demo's currencies have."""
    sign = "−" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100:,}.{abs(minor) % 100:02d} {currency}"


class Progress:
    """How far something long has come: one line that grows on a terminal, a line per quarter elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = max(total, 1)
        self._done = 0
        self._shown = -1
        self._redraws = sys.stdout.isatty()

    def add(self, done: int) -> None:
        """So much more of the total is done."""
        self._done += done
        percent = min(100, 100 * self._done // self._total)
        if not self._redraws:
            percent -= percent % 25
        if percent > self._shown:
            self._shown = percent
            self._show(percent)

    def _show(self, percent: int) -> None:
        if not self._redraws:
            return step(f"{self._what}: {percent} %") if percent else None
        bar = ("█" * (percent * PROGRESS // 100)).ljust(PROGRESS, "░")
        end = "\n" if percent == 100 else ""
        click.echo(f"\r  {self._what} {click.style(bar, fg='cyan')} {percent:3d} %{end}", nl=False)


async def overview(shop: Shop, api: Api) -> None:
    """Where a shop's money of ninety days came from."""
    report = await api.get("/api/analytics/sources", range="90d")
    reconciled = await api.get("/api/analytics/reconciliation", range="90d")
    total = report["totals"]["revenueMinor"]
    title = (
        f"{shop.name} – 90 days, {amount(total, shop.currency)} net of refunds, by {report['model'].replace('_', ' ')}"
    )
    heading(title)
    rows = [(row["source"], row["revenueMinor"]) for row in report["rows"] if row["revenueMinor"]][:TOP_SOURCES]
    others = total - report["unattributed"]["revenueMinor"] - sum(minor for _, minor in rows)
    rows += [("other sources", others)] if others else []
    for name, minor in (*rows, ("unattributed", report["unattributed"]["revenueMinor"])):
        bar = "█" * max(0, round(BAR * minor / max(total, 1)))
        click.echo(f"  {name:<20} {amount(minor, shop.currency):>16}  {click.style(bar, fg='cyan')}")
    apart = sum(abs(row["differenceMinor"]) for row in reconciled["rows"])
    click.echo(f"  credited + unattributed − what the platform charged and refunded: {apart}")


def table(shop: Shop, lines: Sequence[Line]) -> None:
    """Every compared number of one shop."""
    heading(f"{shop.name} – {shop.platform}, {shop.currency}, {shop.time_zone}")
    click.echo(click.style(f"  {'':{WIDTH}} {'expected':>17} {'reported':>17} {'difference':>15}", dim=True))
    for line in lines:
        name = line.what if not line.is_count or not line.currency else f"{line.what}, {line.currency}"
        figures = [_figure(line, value) for value in (line.expected, line.reported)]
        apart = "0" if not line.difference else _figure(line, line.difference)
        text = f"  {name:{WIDTH}} {figures[0]:>17} {figures[1]:>17} {apart:>15}"
        click.echo(click.style(text, fg="red", bold=True) if line.difference else text)


def _figure(line: Line, value: int) -> str:
    return f"{value:,}".replace("-", "−") if line.is_count else amount(value, line.currency)
