"""Order tracking: look at one's orders, at one of them, at one's notifications; who has no order makes one first.

Run it alone with: locust -f loadtests/tracking.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey


class Tracking(Journey):
    def visit(self) -> None:
        orders = self.call("GET", "/api/orders/my-orders?limit=10", name="/api/orders/my-orders").json()
        order = self.choose(orders, "order") if orders else self.order_something()
        self.call("GET", f"/api/orders/{order['id']}", name="/api/orders/{id}")
        self.call("GET", "/api/notifications?limit=10", name="/api/notifications")

    def order_something(self) -> dict:
        products = self.call("GET", "/api/products?limit=24", name="/api/products").json()
        items = [{"product_id": self.choose(products, "product")["id"], "quantity": 1}]
        return self.call("POST", "/api/orders", name="/api/orders", json={"items": items}).json()
