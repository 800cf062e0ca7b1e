"""Admin: what the dashboard asks for: open orders, the inventory, the users, one order in detail.

Run it alone with: CLOUDCART_AUTH__ADMIN_PASSWORD=.. locust -f loadtests/admin.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey


class Admin(Journey):
    needs_admin = True

    def visit(self) -> None:
        orders = self.call("GET", "/api/orders?status=confirmed&limit=50", name="/api/orders").json()
        self.call("GET", "/api/products?limit=100", name="/api/products")
        self.call("GET", "/api/users?limit=50", name="/api/users")
        if orders:
            self.call("GET", f"/api/orders/{self.choose(orders, 'order')['id']}", name="/api/orders/{id}")
