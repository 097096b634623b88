"""`surgecast web`: what the pages' sign-in needs."""

import sys

import typer

from surgecast.commands.output import AsJson, print_json, stderr
from surgecast.errors import CommandError, Exit

app = typer.Typer(
    help="Set up sign-in to the pages.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _web() -> None:
    """Make a group of it, though there is one command so far."""


@app.command("password")
def password(as_json: AsJson = False) -> None:
    """Print the argon2 hash of a password, for `web.users` in the configuration.

    Asks for it twice on a terminal, else reads one line from stdin. Example: surgecast web password
    """
    # Here and not above: the help needs no cryptography.
    from dashboards.access.passwords import LEAST_CHARACTERS, MOST_CHARACTERS, hash_password

    text = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not LEAST_CHARACTERS <= len(text) <= MOST_CHARACTERS:
        raise CommandError(
            f"the password has {len(text)} characters; it needs {LEAST_CHARACTERS} to {MOST_CHARACTERS}",
            Exit.USAGE,
        )
    made = hash_password(text)
    if as_json:
        print_json({"password_hash": made})
    else:
        typer.echo(made)


def _asked() -> str:
    stderr.print("The password is not shown.", markup=False)
    text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return text
