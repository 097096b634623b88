"""Reports over HTTP: `GET /export/report?tenant=T&period=P&format=html|pdf|csv`, within the request's scope."""

import threading

from flask import Flask, Response, request

from dashboards.access import audit
from dashboards.auth import scope_of
from dashboards.services import Services
from storage.seam import OutOfScope, StoreError

from .as_pdf import PdfFailed, PdfUnavailable
from .build import build_report
from .files import Format, file_name, rendered
from .period import BadPeriod, parse_period

PATH = "/export/report"
_MOST_PDF = 1
"""Browsers that print at once; who comes meanwhile waits as long as one may take."""


def register(server: Flask, services: Services) -> None:
    """Serve the endpoint."""
    printing = threading.BoundedSemaphore(_MOST_PDF)
    settings = services.settings.reports

    def answer(tenant: str, period: str, wanted: Format) -> Response:
        now_ns = services.clock()
        found = parse_period(period, services.zone_of(tenant), now_ns)
        report = build_report(services.store.reader(scope_of(request)), tenant, found, now_ns=now_ns)
        if wanted is not Format.PDF:
            content = rendered(report, wanted, settings)
        elif printing.acquire(timeout=settings.pdf_timeout):
            try:
                content = rendered(report, wanted, settings)
            finally:
                printing.release()
        else:
            raise PdfUnavailable("Other reports are being printed; try again later.")
        audit.exported(
            request, "report", tenant=report.tenant, period=found.text, format=wanted.value, report=report.id
        )
        headers = {
            "Content-Disposition": f'attachment; filename="{file_name(report, wanted)}"',
            "Cache-Control": "no-store",
        }
        return Response(content, mimetype=wanted.media_type, headers=headers)

    @server.get(PATH)
    def export_report() -> Response:
        asked = request.args
        try:
            return answer(asked.get("tenant", ""), asked.get("period", ""), Format(asked.get("format", "html")))
        except OutOfScope as error:
            return _refusal(404, error)
        except (BadPeriod, ValueError) as error:
            return _refusal(400, error)
        except (StoreError, PdfUnavailable, PdfFailed) as error:
            return _refusal(503, error)


def _refusal(status: int, error: Exception) -> Response:
    return Response(f"{error}\n", status=status, mimetype="text/plain")
