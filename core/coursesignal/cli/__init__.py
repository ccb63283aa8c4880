"""The ``coursesignal`` command: one module per command, each exposing ``command``."""

from __future__ import annotations

import importlib
import pkgutil

import click

from coursesignal import __version__
from coursesignal.errors import CourseSignalError


class _Commands(click.Group):
    """Imports a command's module when it is asked for, and prints expected errors without a trace."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return _plugin_command(cmd_name)
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except CourseSignalError as error:
            raise click.ClickException(str(error)) from error


def _plugin_command(name: str) -> click.Command | None:
    """The command group of a plugin that registered commands."""
    from coursesignal.cli.plugins import plugin_group

    return plugin_group(name)


@click.command(cls=_Commands)
@click.version_option(__version__, prog_name="coursesignal")
def main() -> None:
    """CourseSignal: which marketing brought which sale, to the cent."""
