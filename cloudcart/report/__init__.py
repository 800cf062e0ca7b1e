"""The report of a run: one HTML file that somebody who was not there understands within a minute.

Also the JSON Schema of ``run.json`` (:func:`run_schema`), which the report is made from.
"""

from __future__ import annotations

from cloudcart.report.page import REPORT_FILE, render_report, write_report
from cloudcart.report.schema import run_schema

__all__ = ["REPORT_FILE", "render_report", "run_schema", "write_report"]
