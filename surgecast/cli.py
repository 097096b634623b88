"""The command line: `surgecast VERB`. Verbs live in `surgecast.commands`; here they are only put together.

Nothing heavy is imported here: a verb brings what it needs when it is called.
"""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from surgecast.commands.verb import Verb
from surgecast.errors import Exit, exit_code, print_error

VERBS = (
    Verb("demo", "surgecast.commands.demo:demo", "Show Surgecast at work."),
    Verb("up", "surgecast.commands.up:up", "Run Surgecast: each role a process of its own."),
    Verb("replay", "surgecast.commands.replay:replay", "Read captures as if their traffic arrived now."),
    Verb("mos", "surgecast.commands.mos:mos", "Rate a call by the full ITU-T E-model."),
    Verb("query", "surgecast.commands.query:query", "Print stored rows."),
    Verb("call", "surgecast.commands.call:call", "Print the trace of one call."),
    Verb(
        "doctor",
        "surgecast.commands.doctor:doctor",
        "Check this machine, the configuration and a running Surgecast.",
    ),
    Verb(
        "forecast",
        "surgecast.commands.forecast:app",
        "Forecast load, explain a forecast, judge forecasts on the past.",
    ),
    Verb("event", "surgecast.commands.event:app", "Announce campaigns and events, and times not to learn from."),
    Verb("report", "surgecast.commands.report:app", "Report to a tenant how a period went."),
    Verb("alerts", "surgecast.commands.alerts:app", "Alert on what is unusual for the time."),
    Verb("scale", "surgecast.commands.scale:app", "Scale pools ahead of their load."),
    Verb(
        "store",
        "surgecast.commands.store:app",
        "Look after the store: what it holds, what goes next, making it, moving it.",
    ),
    Verb("web", "surgecast.commands.web:app", "Set up sign-in to the pages."),
    Verb("config", "surgecast.commands.config:app", "Check, show or describe the configuration."),
    Verb("bench", "surgecast.commands.bench:app", "Measure the hot paths beside their peers in the same run."),
)


class _Verbs(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb in VERBS:
            self.add_command(verb)


app = typer.Typer(
    name="surgecast",
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="Predictive capacity and QoS observability for VoIP networks.")
def _surgecast() -> None:
    """Make a group of it, though no verb is registered before it is called."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of the contract."""
    try:
        app(arguments)
    except BrokenPipeError:
        # The reader of our output (head, less) has what it wanted.
        sys.stderr.close()
        sys.exit(Exit.OK)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        print_error(str(error))
        sys.exit(code)


if __name__ == "__main__":
    main()
