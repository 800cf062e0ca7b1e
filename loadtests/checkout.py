"""Check-out: look at the list and at one product, order it, pay, look at one's orders.

Run it alone with: locust -f loadtests/checkout.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

import secrets

from cloudcart.load import Journey


class Checkout(Journey):
    def visit(self) -> None:
        products = self.call("GET", "/api/products?limit=24", name="/api/products").json()
        if not products:
            return
        product = self.choose(products, "product")
        self.call("GET", f"/api/products/{product['id']}", name="/api/products/{id}")
        order = self.call(
            "POST",
            "/api/orders",
            name="/api/orders",
            json={"items": [{"product_id": product["id"], "quantity": self.choose((1, 1, 1, 2, 3), "quantity")}]},
            headers={"Idempotency-Key": secrets.token_hex(16)},
            refusals=(409,),  # sold out in the meantime
        )
        if order.ok:
            self.call(
                "POST",
                f"/api/orders/{order.json()['id']}/pay",
                name="/api/orders/{id}/pay",
                json={"payment_method": self.choose(("card", "paypal", "invoice"), "payment")},
                headers={"Idempotency-Key": secrets.token_hex(16)},
                refusals=(409,),
            )
        self.call("GET", "/api/orders/my-orders?limit=10", name="/api/orders/my-orders")
