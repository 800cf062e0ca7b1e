"""The plugin's markers: their names and what they take; ``experiment.scenario`` reads them."""

from __future__ import annotations

from typing import Final

MARKERS: Final = {
    "cloudcart_load": "(journey, rate=, users=, duration=, warmup=, control=, ...): the load of this scenario",
    "cloudcart_fault": "(kind, target=, start=, duration=, ...): a fault, when it starts and how long it acts",
    "cloudcart_slo": "(objective, route=, service=, phase=, source=, slo=): what must hold, as 'p99 < 2s'",
    "cloudcart_steady": "(objective, ...): what must hold before the first fault, else nothing is concluded",
    "cloudcart_abort_if": "(objective, ...): when this objective is broken for two seconds, heal and stop",
    "cloudcart_settings": "({name: value}): settings of the shop that this scenario is about",
}
