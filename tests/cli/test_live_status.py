"""What the live status says of a change."""

from __future__ import annotations

from cloudcart.cli.live_status import Moment, changes
from cloudcart.lab import LabStatus, ServiceStatus

READY = ServiceStatus(ready=True, pid=10, pss_bytes=2**20, restarts=0)
FAULT = {"id": "f1", "label": "+80ms on products", "state": "active", "drawn": 1, "injected": 1}


def moment(service=READY, faults=None):
    return Moment(LabStatus({"orders": service}), faults)


def test_nothing_changed():
    assert list(changes(moment(), moment())) == []


def test_a_service_that_died_and_came_back():
    gone = ServiceStatus(ready=False, pid=0, pss_bytes=0, restarts=0)
    back = ServiceStatus(ready=True, pid=11, pss_bytes=2**20, restarts=1)
    assert list(changes(moment(), moment(gone))) == ["orders is not ready"]
    assert list(changes(moment(gone), moment(back))) == [
        "orders was started again (pid 11, restarts: 1)",
        "orders is ready",
    ]


def test_faults_come_and_go():
    none, one = moment(faults={}), moment(faults={"f1": FAULT})
    assert list(changes(none, one)) == ["fault f1 acts: +80ms on products"]
    assert list(changes(one, none)) == ["fault f1 ended: +80ms on products"]


def test_a_control_plane_that_does_not_answer_ends_no_fault():
    assert list(changes(moment(faults={"f1": FAULT}), moment(faults=None))) == []
