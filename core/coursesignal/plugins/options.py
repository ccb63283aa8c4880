"""The options of a plugin's command, read from its function's signature."""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any

from coursesignal.plugin import Command

KINDS: tuple[type[Any], ...] = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Option:
    """One ``--name`` of a command; without a default it must be given."""

    name: str
    kind: type[Any]
    required: bool
    default: object = None


def command_options(command: Command) -> tuple[Option, ...]:
    """The keyword-only parameters of the command's function; raises TypeError for a function that cannot be a command."""
    if not inspect.iscoroutinefunction(command.function):
        raise TypeError("its function is not async")
    parameters = list(inspect.signature(command.function).parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise TypeError("its function does not take ctx")
    kinds = typing.get_type_hints(command.function)
    return tuple(_option(parameter, kinds) for parameter in parameters[1:])


def _option(parameter: inspect.Parameter, kinds: dict[str, Any]) -> Option:
    kind = kinds.get(parameter.name)
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or kind not in KINDS:
        raise TypeError(f"its parameter {parameter.name!r} is not an option")
    required = parameter.default is inspect.Parameter.empty
    return Option(parameter.name, kind, required, None if required else parameter.default)
