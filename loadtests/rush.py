"""Rush: again and again ten pieces of something are put on sale, and five times as many buyers come for them.

Run it alone with: CLOUDCART_AUTH__ADMIN_PASSWORD=.. locust -f loadtests/rush.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey

ON_SALE = 10
CROWD = 50


class Rush(Journey):
    def visit(self) -> None:
        number = self.arrival - 1
        product_id = 1 + number // CROWD % 30
        if number % CROWD == 0:
            self.put_on_sale(product_id)
        items = [{"product_id": product_id, "quantity": 1}]
        order = self.call("POST", "/api/orders", name="/api/orders", json={"items": items}).json()
        self.call(
            "POST",
            f"/api/orders/{order['id']}/pay",
            name="/api/orders/{id}/pay",
            json={"payment_method": "card"},
            refusals=(409,),  # sold out
        )

    def put_on_sale(self, product_id: int) -> None:
        """As an administrator, say that there are just ten of it."""
        self.call(
            "PATCH",
            f"/api/products/{product_id}/stock",
            name="/api/products/{id}/stock",
            json={"stock": ON_SALE},
            headers={"Authorization": f"Bearer {self.admin_token()}"},
        )
