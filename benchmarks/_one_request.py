"""A journey of one request, for benchmarks of load itself."""

from __future__ import annotations

from cloudcart.load import Journey


class OneRequest(Journey):
    needs_account = False

    def visit(self) -> None:
        self.call("GET", "/", name="/")
