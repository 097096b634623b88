"""The command line: `surgecast VERB`. Verbs live in `surgecast.commands`; here they are only put together."""

import sys

import typer

from storage.seam import BadQuery, OutOfScope, StoreError, StoreLocked, StoreUnavailable
from surgecast.commands import bench, call, config, demo, doctor, forecast, mos, query, replay, up
from surgecast.commands.output import stderr
from surgecast.errors import CommandError, Exit

app = typer.Typer(
    name="surgecast",
    help="Predictive capacity and QoS observability for VoIP networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("replay")(replay.replay)
app.command("mos")(mos.mos)
app.command("query")(query.query)
app.command("call")(call.call)
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config")
app.add_typer(forecast.app, name="forecast")
app.add_typer(bench.app, name="bench")

_STORE_EXITS: tuple[tuple[type[StoreError], Exit], ...] = (
    (BadQuery, Exit.USAGE),
    (OutOfScope, Exit.NOT_FOUND),
    (StoreLocked, Exit.NOT_ALLOWED),
    (StoreUnavailable, Exit.UNREACHABLE),
    (StoreError, Exit.FAILURE),
)


def main() -> None:
    """Run the command line and end the process with the exit code of the contract."""
    try:
        app()
    except CommandError as error:
        stderr.print(f"surgecast: {error}", markup=False)
        sys.exit(error.code)
    except StoreError as error:
        stderr.print(f"surgecast: {error}", markup=False)
        sys.exit(next(code for kind, code in _STORE_EXITS if isinstance(error, kind)))
    except BrokenPipeError:
        # The reader of our output (head, less) has what it wanted.
        sys.stderr.close()
        sys.exit(Exit.OK)


if __name__ == "__main__":
    main()
