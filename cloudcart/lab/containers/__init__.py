"""The containers backend: PostgreSQL, Redis, Apache Kafka, Prometheus and every service of the shop in Docker.

A supervisor watches the lab just as it does an embedded one; only what it starts is different (``shop``). Everything
shares this machine's network and listens on 127.0.0.1, so a lab is reached like an embedded one, and nothing leaves it.
"""

from __future__ import annotations
