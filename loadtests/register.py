"""Register: sign up with a new name, see that one is logged in, look around. Costs the shop a password hash a visit.

Run it alone with: locust -f loadtests/register.py --host http://127.0.0.1:3000
"""

from __future__ import annotations

import secrets

from cloudcart.load import Journey


class Register(Journey):
    needs_account = False

    def visit(self) -> None:
        name = f"visitor-{secrets.token_hex(8)}"  # new in every run: a seed would bring names that exist already
        user = {"username": name, "email": f"{name}@example.com", "password": secrets.token_urlsafe(12)}
        registered = self.call("POST", "/api/auth/register", name="/api/auth/register", json=user).json()
        proof = {"Authorization": f"Bearer {registered['token']}"}
        self.call("GET", "/api/auth/validate", name="/api/auth/validate", headers=proof)
        self.call("GET", "/api/products?limit=24", name="/api/products")
