"""Flags from the fields of a dataclass, for a command that takes the dataclass itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from mrpose_cli.cli.console import errors_reported
from mrpose_cli.flag import Flag, flags_of

_SIZE: Any = tuple[int, int] | None
_FILES: Any = tuple[Path, ...]
# What typer reads where that is not what the field holds.
_TYPED: dict[Any, Any] = {_SIZE: str | None, _FILES: list[Path] | None}


def takes_flags(
    parameter: str, *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Put flags in the place of a command's parameter, which takes a dataclass.

    Args:
        parameter: The parameter's name. Its default holds the defaults of the flags. Each field is annotated
            with a :class:`Flag`; one that holds many files becomes the command's arguments.
        without: Fields that get no flag.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        usual = signature(command, eval_str=True)
        defaults = usual.parameters[parameter].default
        hints = get_type_hints(type(defaults))
        flags = {name: flag for name, flag in flags_of(type(defaults)).items() if name not in without}

        @wraps(command)
        def run(**given: Any) -> None:
            with errors_reported():
                values = {name: _value(hints[name], given.pop(name)) for name in flags}
            command(**given, **{parameter: replace(defaults, **values)})

        parameters = []
        for one in usual.parameters.values():
            if one.name == parameter:
                for name, flag in flags.items():
                    parameters.append(_parameter(name, hints[name], flag, getattr(defaults, name)))
            else:
                parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))
        # Typer reads both.
        run.__signature__ = usual.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameter(name: str, hint: Any, flag: Flag, default: Any) -> Parameter:
    if hint == _FILES:
        info: Any = typer.Argument(metavar=flag.metavar, help=flag.help, show_default=False)
        default = None
    else:
        names = flag.names or (flag.called(name),)
        if hint in (bool, bool | None) and not flag.names:
            names = (f"{names[0]}/--no-{name.replace('_', '-')}",)
        # Where the default depends on others, the text says what it is.
        shown = default is not None and default != ""
        info = typer.Option(
            *names,
            help=flag.help,
            min=flag.low,
            max=flag.high,
            metavar=flag.metavar,
            rich_help_panel=flag.panel,
            show_default=shown,
        )
    annotation: Any = Annotated[_TYPED.get(hint, hint), info]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _value(hint: Any, given: Any) -> Any:
    if hint == _FILES:
        return tuple(given or ())
    if hint == _SIZE and given is not None:
        from mrpose_cli.models.identify import parse_size

        return parse_size(given)
    return given
