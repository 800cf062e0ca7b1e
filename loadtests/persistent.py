"""Persistent: a buyer who, left without an answer, asks again with the same Idempotency-Key until there is one.

Run it alone with: locust -f loadtests/persistent.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

import secrets

from cloudcart.load import Answer, Journey

UNANSWERED = (0, 502, 503, 504)
TRIES = 12
PAUSE = 0.5  # seconds


class Persistent(Journey):
    def visit(self) -> None:
        products = self.call("GET", "/api/products?limit=24", name="/api/products").json()
        items = [{"product_id": self.choose(products, "product")["id"], "quantity": 1}]
        order = self.until_answered("/api/orders", name="/api/orders", json={"items": items}).json()
        payment = {"payment_method": self.choose(("card", "paypal", "invoice"), "payment")}
        self.until_answered(f"/api/orders/{order['id']}/pay", name="/api/orders/{id}/pay", json=payment)

    def until_answered(self, path: str, *, name: str, json: dict) -> Answer:
        """Post, again and again with the same key; nobody knows what an attempt without an answer did."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        for _ in range(TRIES - 1):
            answer = self.call("POST", path, name=name, json=json, headers=key, refusals=UNANSWERED)
            if answer.status not in UNANSWERED:
                return answer
            self.pause(PAUSE)
        return self.call("POST", path, name=name, json=json, headers=key)
