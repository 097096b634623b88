"""`surgecast bench`: our hot paths beside their peers, in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from surgecast.bench import hep as hep_bench
from surgecast.bench import influx as influx_bench
from surgecast.bench import lineproto as lineproto_bench
from surgecast.bench import rtp as rtp_bench
from surgecast.bench import sip as sip_bench
from surgecast.bench import store as store_bench
from surgecast.bench import store_paced
from surgecast.commands.output import AsJson, print_json, shown, stderr

app = typer.Typer(
    help="Measure the hot paths beside their peers in the same run.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Seconds = Annotated[float, typer.Option(min=0.5, max=600, help="How long each contestant runs.")]


@app.command("hep")
def hep(seconds: Seconds = 3.0, as_json: AsJson = False) -> None:
    """Receive and parse HEP over UDP, beside a recvfrom loop and an asyncio protocol; then SIP into dialogs.

    Example: surgecast bench hep --json
    """
    _print(
        {**hep_bench.run(seconds, lambda line: stderr.print(line, markup=False)), "sip": sip_bench.run()}, as_json
    )


@app.command("lineproto")
def lineproto(as_json: AsJson = False) -> None:
    """Encode interval rows for InfluxDB, beside the Point and DataFrame writers of influxdb-client.

    Example: surgecast bench lineproto --json
    """
    _print(lineproto_bench.run(), as_json)


@app.command("rtp")
def rtp(as_json: AsJson = False) -> None:
    """Measure RTP streams from memory and from a capture file, beside C, plain Python, dpkt and tshark.

    Example: surgecast bench rtp --json
    """
    _print(rtp_bench.run(lambda line: stderr.print(line, markup=False)), as_json)


@app.command("store")
def store(
    rows: Annotated[
        int, typer.Option(min=1_000_000, help="Interval rows; 50 million take 3 GB.")
    ] = store_bench.ROWS,
    seconds: Seconds = 20.0,
    directory: Annotated[
        Path | None, typer.Option(help="Keep the store here; one that is here already is measured again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write interval rows while a second process reads, and time the queries of the pages, cold and warm.

    Then 6,000 rows a second for so many seconds, into an embedded store and into InfluxDB where it is installed.

    Example: surgecast bench store --rows 50000000 --json
    """
    figures = store_bench.run(rows, directory)
    _print({**figures, "paced": store_paced.run(seconds), "influxdb": influx_bench.run(seconds)}, as_json)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(figures)
        return
    _lines(figures, "")


def _lines(figures: dict[str, Any], indent: str) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            typer.echo(f"{indent}{name}:")
            _lines(value, indent + "  ")
        else:
            typer.echo(f"{indent}{name}: {shown(value)}")
