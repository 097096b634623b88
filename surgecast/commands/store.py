"""`surgecast store`: what the store holds and what goes next, making it, moving it to another."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.embedded.status import MeasurementStatus
from storage.embedded.store import EmbeddedStore
from storage.open import open_store
from storage.schema import MEASUREMENTS
from storage.seam import Scope, Window
from storage.transfer import ExportedFile, export_store, import_store
from storage.urls import shown_url
from surgecast.commands.output import AsJson, iso_time, print_json, print_table, stderr
from surgecast.commands.stored import AsTenant, stored
from surgecast.commands.times import parse_time
from surgecast.config import ConfigFile, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit

if TYPE_CHECKING:
    from storage.influx.status import ServerStatus

_WRITER = "import"
_NEVER_NS = 1 << 62

app = typer.Typer(
    help="Look after the store: what it holds, what goes next, making it, moving it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Only = Annotated[list[str] | None, typer.Option("--measurement", help="Only this measurement; may be repeated.")]
Directory = Annotated[Path, typer.Argument(help="Directory of the export.")]


@app.command("status")
def status(config: ConfigFile = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Print sizes, rows, ages, what is in quarantine, and what will be deleted next.

    Of InfluxDB: what the server tells of retention, sizes and series, and the ages; a dash where it does not.

    Example: surgecast store status --json
    """
    storage = load_settings(config).storage
    opened = open_store(store or storage.url, storage, existing=True)
    try:
        if not isinstance(opened, EmbeddedStore):
            _print_server(opened.status(), shown_url(store or storage.url), as_json)
            return
        found = opened.status(time.time_ns())
    finally:
        opened.close()
    measurements = [_shown(m) for m in found.measurements]
    if as_json:
        print_json(
            {
                "url": f"embedded:{found.root}",
                "format": found.format,
                "free_bytes": found.free_bytes,
                "min_free_bytes": found.min_free_bytes,
                "rollup_bytes": found.rollup_bytes,
                "index_bytes": found.index_bytes,
                "next_for_the_disk": found.next_for_the_disk,
                "measurements": measurements,
            }
        )
        return
    names = ("measurement", "rows", "segments", "bytes", "oldest", "newest", "quarantined", "next_at", "next_why")
    print_table(names, [[m[name] for name in names] for m in measurements], title=found.root)
    stderr.print(
        f"{found.free_bytes / 2**30:.1f} GiB free; below {found.min_free_bytes / 2**30:.1f} GiB "
        f"{found.next_for_the_disk or 'nothing'} loses its oldest rows first",
        markup=False,
    )


@app.command("init")
def init(config: ConfigFile = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Make what the store needs: directories, or databases, retention policies and buckets of InfluxDB.

    Example: surgecast store init -c surgecast.yaml
    """
    storage = load_settings(config).storage
    storage = storage.model_copy(update={"url": store or storage.url})
    if storage.url.startswith(("influx:", "influxs:")):
        from storage.influx.admin import init as init_influx  # its client takes a while to import

        done = init_influx(storage)
        server, made = done.server, done.made
    else:
        opened = open_store(storage.url, storage)
        server, made = "embedded", [storage.url]
        opened.close()
    if as_json:
        print_json({"server": server, "made": made})
        return
    typer.echo(f"{server}: {', '.join(made) or 'nothing was missing'}")


@app.command("export")
def export(
    directory: Directory,
    since: Annotated[str, typer.Option("--from", help="Start: -7d, 2026-11-20; all there is by default.")] = "",
    until: Annotated[str, typer.Option("--to", help="End (exclusive): now, -5m, or a time.")] = "",
    only: Only = None,
    tenant: AsTenant = None,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write rows of the store, of any backend, to Parquet files with a manifest.

    Example: surgecast store export backup --from -7d --measurement call
    """
    now_ns = time.time_ns()
    window = Window(parse_time(since, now_ns) if since else 0, parse_time(until, now_ns) if until else _NEVER_NS)
    if window.since_ns >= window.until_ns:
        raise CommandError(f"--from {since or 'the start'} is not before --to {until or 'the end'}", Exit.USAGE)
    with stored(config, store, tenant) as reader:
        files = export_store(reader, directory, only or list(MEASUREMENTS), window, _progress)
    _print_files(files, as_json)


@app.command("import")
def import_(
    directory: Directory,
    only: Only = None,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write an export into the store, of any backend; doing it twice changes nothing.

    Example: surgecast store import backup --store influx://localhost:8086/surgecast
    """
    storage = load_settings(config).storage
    opened = open_store(store or storage.url, storage)
    try:
        writer = opened.writer(_WRITER)
        reader = opened.reader(Scope.everything("command line"))
        files = import_store(reader, writer, directory, only or (), _progress)
        writer.close()
    finally:
        opened.close()
    _print_files(files, as_json)


def _print_server(found: "ServerStatus", url: str, as_json: bool) -> None:
    measurements = [
        {
            "measurement": m.measurement,
            "policy": m.policy,
            "series": m.series,
            "oldest": iso_time(m.oldest_ns),
            "newest": iso_time(m.newest_ns),
        }
        for m in found.measurements
    ]
    policies = [
        {
            "database": p.database,
            "policy": p.policy,
            "keep_seconds": p.keep_seconds,
            "bytes": p.bytes,
            "next_at": iso_time(p.next_at_ns),
        }
        for p in found.policies
    ]
    if as_json:
        print_json({"url": url, "server": found.server, "policies": policies, "measurements": measurements})
        return
    for title, rows in ((f"{found.server} at {url}", policies), ("", measurements)):
        if rows:
            print_table(list(rows[0]), [list(row.values()) for row in rows], title=title)


def _print_files(files: list[ExportedFile], as_json: bool) -> None:
    rows: dict[str, int] = {}
    for file in files:
        rows[file.measurement] = rows.get(file.measurement, 0) + file.rows
    if as_json:
        print_json({"files": len(files), "rows": rows})
        return
    print_table(("measurement", "rows"), [list(item) for item in rows.items()], title=f"{len(files)} files")


def _progress(line: str) -> None:
    stderr.print(line, markup=False)


def _shown(found: MeasurementStatus) -> dict[str, Any]:
    sizes = found.sizes
    return {
        "measurement": sizes.measurement,
        "rows": found.rows,
        "segments": sizes.segments,
        "bytes": sizes.segment_bytes + sizes.log_bytes,
        "log_bytes": sizes.log_bytes,
        "oldest": iso_time(found.oldest_ns),
        "newest": iso_time(found.newest_ns),
        "quarantined": sizes.quarantined,
        "quarantined_bytes": sizes.quarantined_bytes,
        "keep_seconds": found.keep_seconds,
        "keep_bytes": found.keep_bytes,
        "next_rows": found.next_rows,
        "next_at": iso_time(found.next_at_ns),
        "next_why": found.next_why,
    }
