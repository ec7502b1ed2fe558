"""The calibration report: a page, its Markdown twin, the numbers and the plots."""

from __future__ import annotations

from bayeshyper.report.writer import ReportExistsError, write_report

__all__ = ["ReportExistsError", "write_report"]
