"""The help of ``cloudcart load`` against the journeys there are."""

from __future__ import annotations

import re

from click.testing import CliRunner

from cloudcart.cli.load import load
from cloudcart.load import list_journeys


def test_it_lists_every_journey():
    text = " ".join(CliRunner().invoke(load, ["--help"]).output.split())
    [listed] = re.findall(r"JOURNEY is (.*), or a file of yours", text)
    assert listed.split(", ") == list_journeys()
