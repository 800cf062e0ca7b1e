"""Admin: what the dashboard asks for: the newest orders, the inventory, the users, one order in detail.

Run it alone with: CLOUDCART_AUTH__ADMIN_PASSWORD=.. locust -f loadtests/admin.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey


class Admin(Journey):
    needs_admin = True

    def visit(self) -> None:
        orders = self.call("GET", "/api/orders?limit=50", name="/api/orders").json()
        products = self.call("GET", "/api/products?limit=100", name="/api/products").json()
        self.call("GET", "/api/users?limit=50", name="/api/users")
        order = self.choose(orders, "order") if orders else self.order(products)
        self.call("GET", f"/api/orders/{order['id']}", name="/api/orders/{id}")

    def order(self, products: list[dict]) -> dict:
        """Order something, in a shop in which nobody has."""
        items = [{"product_id": self.choose(products, "product")["id"], "quantity": 1}]
        return self.call("POST", "/api/orders", name="/api/orders", json={"items": items}).json()
