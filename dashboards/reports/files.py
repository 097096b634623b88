"""A report in one of its formats, with the name of its file."""

import re
from enum import StrEnum

from .as_csv import report_csv
from .as_html import report_html
from .as_pdf import report_pdf
from .model import Report
from .settings import ReportSettings


class Format(StrEnum):
    """What a report can be saved as."""

    HTML = "html"
    PDF = "pdf"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """Its type over HTTP."""
        return {"html": "text/html", "pdf": "application/pdf", "csv": "text/csv"}[self.value]


def rendered(report: Report, wanted: Format, settings: ReportSettings) -> bytes:
    """Return the file; raises PdfUnavailable or PdfFailed."""
    if wanted is Format.CSV:
        return report_csv(report).encode()
    html = report_html(report)
    if wanted is Format.HTML:
        return html.encode()
    return report_pdf(html, program=settings.pdf_program, timeout_seconds=settings.pdf_timeout)


def file_name(report: Report, wanted: Format) -> str:
    """Return a name that is safe in directories and HTTP headers; the id keeps tenants of like names apart."""
    tenant = re.sub(r"[^A-Za-z0-9_-]+", "_", report.tenant)[:60]
    return f"report-{tenant}-{report.period}-{report.id}.{wanted.value}"
