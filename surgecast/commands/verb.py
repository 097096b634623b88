"""A verb of the command line that is imported once it is called: `--help` and `mos` need no kernels and no store.

It must not know any verb; `surgecast.cli` lists them with the line of help that stands for each.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand


class Verb(TyperCommand):
    """Stands for a command in its group; hands over to the real one as soon as arguments are parsed."""

    def __init__(self, name: str, target: str, text: str) -> None:
        """Take a name, `module:function` or `module:app` (a group of verbs), and its line in the help."""
        super().__init__(name, help=text, rich_markup_mode=None)
        self._target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Return the context of the real command, which is what is then invoked."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        """Import the real command."""
        module, _, name = self._target.partition(":")
        found: typer.Typer | Callable[..., Any] = getattr(import_module(module), name)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(self.name)(found)
            found = app
        return typer.main.get_command(found)
