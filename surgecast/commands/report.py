"""`surgecast report`: how a period went for a tenant, as HTML, PDF or CSV."""

import time
from pathlib import Path
from typing import Annotated

import typer

from dashboards.reports.as_pdf import PdfFailed, PdfUnavailable
from dashboards.reports.build import build_report
from dashboards.reports.files import Format, file_name, rendered
from dashboards.reports.period import BadPeriod, parse_period
from dashboards.reports.words import period_text, summary
from storage.open import open_store
from storage.seam import Scope
from surgecast.commands.output import AsJson, iso_time, print_json, stderr
from surgecast.commands.times import zone_of
from surgecast.config import ConfigFile, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit

app = typer.Typer(
    help="Report to a tenant how a period went.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.callback()
def _report() -> None:
    """Make a group of it, though it has one verb."""


@app.command("build")
def build(
    tenant: Annotated[str, typer.Option("--tenant", help="Whom the report is of.")],
    period: Annotated[
        str,
        typer.Option(
            "--period",
            help="2026-11, 2026-W47, 2026-11-01..2026-11-20, last-month, last-7d, this-month, this-week, today.",
        ),
    ],
    wanted: Annotated[Format, typer.Option("--format", help="What to make.")] = Format.HTML,
    out: Annotated[Path, typer.Option("--out", help="Directory to write to.")] = Path(),
    zone: Annotated[
        str | None, typer.Option("--tz", help="Zone of the days; default: the tenant's (forecast.clocks).")
    ] = None,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a tenant and a period, with n, definitions and the period before beside each figure.

    Examples: surgecast report build --tenant acme --period 2026-11 --format pdf --out reports

    surgecast report build --tenant acme --period last-7d --format csv --json

    surgecast report build --tenant acme --period today
    """
    settings = load_settings(config)
    now_ns = time.time_ns()
    try:
        found = parse_period(period, zone_of(zone) if zone else settings.forecast.tenant_zone(tenant), now_ns)
    except BadPeriod as error:
        raise CommandError(f"--period: {error}", Exit.USAGE) from error
    known = {each.name for each in settings.collect.tenants}
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        reader = opened.reader(Scope.of("command line", tenant))
        report = build_report(reader, tenant, found, now_ns=now_ns, known=known)
    finally:
        opened.close()
    try:
        content = rendered(report, wanted, settings.web.reports)
    except PdfUnavailable as error:
        raise CommandError(str(error), Exit.UNREACHABLE) from error
    except PdfFailed as error:
        raise CommandError(str(error)) from error
    path = _written(out, file_name(report, wanted), content)
    if as_json:
        print_json(
            {
                "path": str(path),
                "id": report.id,
                "tenant": report.tenant,
                "period": report.period,
                "from": iso_time(report.since_ns),
                "to": iso_time(report.until_ns),
                "compared_from": iso_time(report.before_since_ns),
                "compared_to": iso_time(report.before_until_ns),
                "zone": report.zone,
                "provisional": bool(report.provisional),
                "empty": report.empty,
            }
        )
        return
    stderr.print(f"{report.tenant}, {period_text(report)}: {summary(report)}", markup=False)
    typer.echo(path)


def _written(folder: Path, name: str, content: bytes) -> Path:
    """Write the file whole or not at all, readable by its owner alone, and return its absolute path."""
    path = folder.absolute() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{name}.part")
        part.touch(mode=0o600)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise CommandError(f"--out {folder}: cannot write {name}: {error.strerror}") from error
    return path
