"""What the order service counts of its own. Made once per application; fed after each commit."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged
from cloudcart.services.orders.states import Status
from cloudcart.telemetry.metrics import DurationHistogram, Telemetry


class OrderMetrics:
    """The metrics.

    Args:
        telemetry: where they are registered.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        registry = telemetry.registry
        self._created = Counter("orders_created_total", "Orders accepted.", registry=registry)
        self._transitions = Counter("order_transitions_total", "Moves of orders.", ["from", "to"], registry=registry)
        self._revenue = Counter("orders_revenue_total", "Sum of all payments.", registry=registry)
        self._by_status = Gauge("orders_by_status", "Orders now.", ["status"], registry=registry)
        self._payments = Counter("order_payments_total", "Payments tried.", ["status"], registry=registry)
        self.payment_seconds = DurationHistogram(
            "order_payment_duration_seconds", "Time of one payment, stock included.", registry=registry
        )

    def count(self, events: Iterable[Event]) -> None:
        """Count what has been committed."""
        for event in events:
            if isinstance(event, OrderCreated):
                self._created.inc()
            elif isinstance(event, OrderStatusChanged):
                self._transitions.labels(event.old_status, event.new_status).inc()
            elif isinstance(event, OrderPaymentConfirmed):
                self._revenue.inc(float(event.amount))
                self._payments.labels("succeeded").inc()

    def payment_refused(self, status: int) -> None:
        """Count a payment that had no effect; ``failed`` is our fault, ``refused`` is not."""
        self._payments.labels("failed" if status >= 500 else "refused").inc()

    def set_by_status(self, counts: dict[str, int]) -> None:
        """Set how many orders have each status now."""
        for status in Status:
            self._by_status.labels(status).set(counts.get(status, 0))
