"""A finished run as data: its record, its verdict, and its tables as frames of pandas or polars.

``run.py`` is the run, ``table.py`` how a table is read. Drawing is ``cloudcart.plots``; nothing is judged here.
"""

from __future__ import annotations

from cloudcart.analysis.run import Run
from cloudcart.analysis.table import Table

__all__ = ["Run", "Table"]
