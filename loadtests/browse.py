"""Browse: look at the list, narrow it down, look at one product. Nobody logs in, nothing is bought.

Run it alone with: locust -f loadtests/browse.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

from cloudcart.load import Journey

WORDS = ("mug", "lamp", "shirt", "bag", "book")


class Browse(Journey):
    needs_account = False

    def visit(self) -> None:
        products = self.call("GET", "/api/products?limit=24", name="/api/products").json()
        if not products:
            return
        product = self.choose(products, "product")
        if self.draw("narrow down") < 0.5:
            path, name = f"/api/products/category/{product['category']}", "/api/products/category/{category}"
        else:
            path, name = f"/api/products?search={self.choose(WORDS, 'word')}", "/api/products"
        self.call("GET", path, name=name)
        self.call("GET", f"/api/products/{product['id']}", name="/api/products/{id}", refusals=(404,))
