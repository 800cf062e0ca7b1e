"""Storm: three visitors in four are one and the same program, which searches without a pause; the others just shop.

Run it alone with: locust -f loadtests/storm.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey


class Storm(Journey):
    def visit(self) -> None:
        if self.draw("kind of visitor") < 0.75:
            self.search_greedily()
            return
        product_id = 1 + int(30 * self.draw("product"))
        self.call("GET", f"/api/products/{product_id}", name="/api/products/{id}")
        self.call("GET", "/api/orders/my-orders?limit=10", name="/api/orders/my-orders")

    def search_greedily(self) -> None:
        """Search for something new each time, without an account: so all of these are one client, by its address."""
        account, self.account = self.account, None
        try:
            path = f"/api/products?search=offer-{self.arrival}"
            self.call("GET", path, name="/api/products", refusals=(429,))
        finally:
            self.account = account
