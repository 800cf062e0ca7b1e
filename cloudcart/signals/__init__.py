"""Was it all right: readings of golden signals, objectives, and verdicts with their statistics.

Three sources give readings (the client's rows, the lab's own scrapes, a Prometheus server), an objective says what must
hold, ``judge`` compares. Nothing here knows the shop, the load generator or the lab.
"""

from __future__ import annotations

from cloudcart.signals.alerting import time_to_alert
from cloudcart.signals.difference import Difference, difference
from cloudcart.signals.golden import SIGNALS, GoldenSignal, golden_signal
from cloudcart.signals.judgement import Judgement, judge
from cloudcart.signals.metric_source import MetricNames, MetricSource, PrometheusSource, ScrapeSource
from cloudcart.signals.objective import Objective
from cloudcart.signals.openslo import openslo
from cloudcart.signals.prometheus_rules import prometheus_rules
from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.recovery import SteadyState, time_to_recover
from cloudcart.signals.repeats import NoiseFloor, difference_of_runs, noise_floor
from cloudcart.signals.rows import RowsSource
from cloudcart.signals.scrape import Scrape, ScrapeLog, Scraper
from cloudcart.signals.service_level import ServiceLevel, parse_period, service_levels
from cloudcart.signals.signals import Signals
from cloudcart.signals.slo import BURN_ALERTS, BurnAlert, Slo
from cloudcart.signals.source import TOLERANCE, Source, disagreement
from cloudcart.signals.statistics import binomial_interval, clopper_pearson
from cloudcart.signals.table import signal_rows, signals_table
from cloudcart.signals.verdict import Verdict, merge

__all__ = [
    "BURN_ALERTS",
    "SIGNALS",
    "TOLERANCE",
    "BurnAlert",
    "Difference",
    "GoldenSignal",
    "Judgement",
    "MetricNames",
    "MetricSource",
    "NoiseFloor",
    "Objective",
    "PrometheusSource",
    "Reading",
    "RowsSource",
    "Scrape",
    "ScrapeLog",
    "ScrapeSource",
    "Scraper",
    "ServiceLevel",
    "Signals",
    "Slo",
    "Source",
    "SteadyState",
    "Verdict",
    "Window",
    "binomial_interval",
    "clopper_pearson",
    "difference",
    "difference_of_runs",
    "disagreement",
    "golden_signal",
    "judge",
    "merge",
    "noise_floor",
    "openslo",
    "parse_period",
    "prometheus_rules",
    "service_levels",
    "signal_rows",
    "signals_table",
    "time_to_alert",
    "time_to_recover",
]
