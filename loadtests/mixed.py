"""Mixed: half of the visitors look at products, the others at their own orders, which need no product.

Run it alone with: locust -f loadtests/mixed.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey


class Mixed(Journey):
    def visit(self) -> None:
        if self.draw("kind of visitor") < 0.5:
            self.call("GET", "/api/orders/my-orders?limit=10", name="/api/orders/my-orders")
            self.call("GET", "/api/notifications?limit=10", name="/api/notifications")
            return
        products = self.call("GET", "/api/products?limit=24", name="/api/products").json()
        if products:
            product = self.choose(products, "product")
            self.call("GET", f"/api/products/{product['id']}", name="/api/products/{id}")
