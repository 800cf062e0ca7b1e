"""How a running lab looks: the JSON document, the table of services, URLs and log-ins.

Used by ``up`` and ``status``, so that both say the same. Not here: asking the lab (``cloudcart.lab``).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cloudcart.cli.output import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from cloudcart.lab import Lab, LabStatus

_MIB: Final = 2**20


def describe(lab: Lab, now: LabStatus | None = None) -> dict[str, Any]:
    """Return the document that ``up --json`` prints; with ``now``, the one of ``status --json``."""
    from cloudcart import __version__

    document: dict[str, Any] = {
        "name": lab.name,
        "state": "ready" if now is None or all(found.ready for found in now.services.values()) else "degraded",
        "seconds": round(lab.seconds, 3),
        "version": __version__,
        "backend": lab.backend,
        "directory": str(lab.directory),
        "urls": dict(lab.urls),
        "pids": dict(lab.pids),
        "logins": {who: {"username": login.username, "password": login.password} for who, login in lab.logins.items()},
    }
    if now is not None:
        document["services"] = {
            name: {
                "ready": found.ready,
                "pid": found.pid,
                "pss_bytes": found.pss_bytes,
                "restarts": found.restarts,
            }
            for name, found in now.services.items()
        }
    return document


def service_table(lab: Lab, now: LabStatus) -> Table:
    """Return one row for each service: state, URL, process, memory, restarts."""
    table = plain_table("service", "state", "url", "pid", "memory", "restarts")
    for name, found in now.services.items():
        state = "[green]ready[/green]" if found.ready else "[bold red]not ready[/bold red]"
        memory = f"{found.pss_bytes / _MIB:.0f} MiB"
        table.add_row(name, state, lab.urls.get(name, ""), str(found.pid or "-"), memory, str(found.restarts))
    return table


def access_lines(lab: Lab) -> Iterable[str]:
    """Yield where to go and who to be."""
    gateway = lab.urls["gateway"]
    yield f"shop      {gateway}/api/products"
    for who, login in lab.logins.items():
        yield f"log in    {login.username} / {login.password}" + ("  (may do everything)" if who == "admin" else "")
    if traffic := lab.urls.get("traffic"):
        yield f"visitors  {traffic}/metrics"
    if prometheus := lab.urls.get("prometheus"):
        yield f"metrics   {prometheus}"
    yield f"logs      {lab.directory}/logs"


def next_lines(lab: Lab) -> Iterable[str]:
    """Yield what to try on a lab that has just started."""
    other = other_name(lab.name)
    yield f"break it  cloudcart inject latency --target products --param median=80ms --param p99=900ms{other}"
    yield f"heal it   cloudcart heal --all{other}"


def environment_lines(lab: Lab) -> Iterable[str]:
    """Yield shell commands that set what the external backend needs to know of this lab."""
    replicas = [url for name, url in lab.service_urls.items() if name.startswith("products/")]
    auth = {"service_secret": lab.settings.auth.service_secret}
    values = {
        **{f"urls.{service}": url for service, url in lab.service_urls.items() if "/" not in service},
        **({"urls.products_replicas": json.dumps(replicas)} if replicas else {}),
        **{f"auth.{name}": secret.get_secret_value() if secret else "" for name, secret in auth.items()},
        **{f"auth.{who}_password": login.password for who, login in lab.logins.items()},
        "stores.kafka": lab.settings.stores.kafka,
        "stores.database": lab.database_url,
    }
    for name, value in values.items():
        yield f"export CLOUDCART_{name.upper().replace('.', '__')}={shlex.quote(value)}"


def other_name(name: str) -> str:
    """Return the option that names this lab in a command, empty for the one that needs no name."""
    return "" if name == "default" else f" --name {name}"


def fault_line(fault: Mapping[str, Any]) -> str:
    """Return one line on an active fault: what it does, how often it did, when it ends by itself."""
    left = (datetime.fromisoformat(fault["expires_at"]) - datetime.now(UTC)).total_seconds()
    counts = f"hit {fault['injected']} of {fault['drawn']} requests"
    return f"fault     {fault['id']}: {fault['label']}, {counts}, {max(0.0, left):.0f} s left"


def memory_line(now: LabStatus) -> str:
    """Return one line on the memory of all processes, stores and supervisor included."""
    return f"memory    {now.pss_bytes / _MIB:.0f} MiB, {len(now.memory)} processes with stores and supervisor"
