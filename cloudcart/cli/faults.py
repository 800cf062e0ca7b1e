"""``cloudcart faults``, ``inject`` and ``heal``: the catalogue, and faults of a running lab.

Not here: what a fault is (``cloudcart.faults``) and how it reaches a service (``cloudcart.chaos``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcart.cli.completion import kinds, offer, targets
from cloudcart.cli.options import as_pairs, json_option, name_option
from cloudcart.cli.output import emit_json, escape, note, plain_table, show
from cloudcart.exceptions import FaultError

if TYPE_CHECKING:
    from cloudcart.faults import Fault


@click.command()
@click.argument("kind", required=False, shell_complete=offer(kinds))
@json_option
def faults(kind: str | None, as_json: bool) -> None:
    """Show the kinds of fault, or the parameters of one.

    KIND is a kind of fault, as 'latency'. The faults that act right now are shown by 'cloudcart status'.
    """
    from cloudcart.faults import catalogue

    entries = [entry for entry in catalogue() if kind in (None, entry["kind"])]
    if not entries:
        known = ", ".join(str(entry["kind"]) for entry in catalogue())
        raise FaultError(f"there is no fault {kind!r}; choose one of {known}")
    if as_json:
        emit_json(entries)
    elif kind is None:
        _show_kinds(entries)
    else:
        _show_kind(entries[0])


def _show_kinds(entries: Iterable[Mapping[str, Any]]) -> None:
    table = plain_table("kind", "acts on", "what it does")
    for entry in entries:
        needs = f" (needs {entry['needs']})" if entry["needs"] else ""
        table.add_row(entry["kind"], entry["acts_on"], f"{entry['description']}{needs}")
    show(table, "\nParameters of one: cloudcart faults latency")


def _show_kind(entry: Mapping[str, Any]) -> None:
    from cloudcart.faults import Fault

    schema = entry["parameters"]
    shared = set(Fault.model_fields)
    table = plain_table("parameter", "default", "what it does")
    for name, field in sorted(schema["properties"].items(), key=lambda item: item[0] in shared):
        default = "required" if name in schema.get("required", ()) else _default(field)
        table.add_row(name, default, escape(field.get("description", "")))
    contract = entry["contract"]
    target = _TARGETS.get(entry["kind"]) or _TARGETS.get(entry["acts_on"], "products")
    show(
        f"[bold]{entry['kind']}[/bold]: {escape(str(entry['description']))}\n",
        table,
        f"\nWhat to expect: {escape(contract['change'])}; "
        f"shows within {contract['shows_within']:g}s, clears within {contract['clears_within']:g}s of the heal.",
        f"Example: cloudcart inject {entry['kind']} --target {target}{_EXAMPLES.get(entry['kind'], '')} --ttl 30s",
    )


_TARGETS: Mapping[str, str] = {
    "link": "'products->postgres'",  # quoted: a shell takes the arrow for a redirection
    "broker_kill": "kafka",
    "broker_pause": "kafka",
    "consumer_pause": "notifications",
    "duplicate": "kafka:order.created",
    "poison_message": "kafka:order.created",
    "publish_delay": "orders",
    "publish_fail": "orders",
    "redis_flush": "redis",
    "redis_slow": "users",
    "slow_consumer": "notifications",
}
"""Where the example is aimed, other than at products."""

_EXAMPLES: Mapping[str, str] = {
    "db_kill_connections": " --param every=1s",
    "db_lock": " --param table=products",
    "db_pool_drain": " --param share=75%",
    "db_slow_query": " --param delay=200ms",
    "poison_message": " --param first=1",
    "publish_delay": " --param delay=500ms",
    "redis_flush": " --param every=1s",
    "redis_slow": " --param delay=100ms",
    "slow_consumer": " --param delay=100ms",
    "latency": " --param median=80ms --param p99=900ms --probability 0.3",
    "error": " --param status=503 --probability 5%",
    "timeout": " --param after=2s",
    "reset": " --param after_bytes=20 --probability 5%",
    "slow_body": " --param rate=500B",
    "corrupt": " --param how=truncated --probability 5%",
    "clock_skew": " --param by=-2h",
    "cpu_burn": " --param cores=1",
    "fd_leak": " --param rate=50",
    "kill": " --param down=2s",
    "loop_block": " --param block=200ms --param every=1s",
    "memory_leak": " --param rate=10MiB",
    "quota": " --param requests=20 --param per=1s",
    "link_bandwidth": " --param rate=64KiB",
    "link_latency": " --param latency=80ms --param jitter=10ms",
}


def _default(field: Mapping[str, Any]) -> str:
    """Return a field's default as one would type it; its schema tells durations, which are text with a unit."""
    from cloudcart.units import format_duration

    value = field.get("default")
    if value is None:
        return "-"
    return format_duration(value) if field.get("type") == "string" and isinstance(value, float) else str(value)


@click.command()
@click.argument("kind", required=False, shell_complete=offer(kinds))
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The fault's document, in YAML, TOML or JSON, instead of the words.",
)
@click.option(
    "--target",
    shell_complete=offer(targets),
    help="service, service:ROUTE, service->link or kafka:TOPIC.",
)
@click.option(
    "--param", "parameters", multiple=True, callback=as_pairs, metavar="NAME=VALUE", help="Parameter; repeatable."
)
@click.option("--probability", metavar="SHARE", help="Share of matching requests that are hit, as 0.3 or 30%.")
@click.option("--ttl", metavar="DURATION", help="The fault ends by itself after this time.  [default: 60s; at most 1h]")
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Chooses which requests are hit.  [default: the lab's]"
)
@name_option
@json_option
def inject(
    kind: str | None,
    path: Path | None,
    target: str | None,
    parameters: dict[str, str],
    probability: str | None,
    ttl: str | None,
    seed: int | None,
    name: str,
    as_json: bool,
) -> None:
    """Inject a fault into a running lab.

    KIND is a kind of fault; 'cloudcart faults' lists them and 'cloudcart faults KIND' shows its parameters. The fault
    acts on every service it is aimed at when this command returns, and ends by 'cloudcart heal' or by its TTL.

    \b
    cloudcart inject latency --target products --param median=80ms --param p99=900ms --probability 0.3
    cloudcart inject error --target 'products:/products/{id}' --param status=503 --ttl 30s
    cloudcart inject --file fault.yaml
    """
    options = {"kind": kind, "target": target, "probability": probability, "ttl": ttl, "seed": seed}
    # Before a lab is asked for: what is wrong with the fault is wrong without one, too.
    fault = _fault(_document(parameters, options), path)

    from cloudcart.cli.lab_view import other_name
    from cloudcart.lab import attach
    from cloudcart.units import format_duration

    active = attach(name).chaos.inject(fault.document())
    if as_json:
        emit_json(active)
        return
    if active["warning"]:
        note(f"warning: {active['warning']}")
    click.echo(
        f"{active['id']}: {active['label']}, ends by itself after {format_duration(fault.ttl)}; "
        f"end it now: cloudcart heal {active['id']}{other_name(name)}"
    )


def _fault(document: Mapping[str, object], path: Path | None) -> Fault:
    if path is not None:
        if document:
            raise FaultError(f"{min(document)}: the fault is in {path.name}; write it there, or leave --file out")
        from cloudcart.experiment import read_fault

        return read_fault(path)
    for name, word in (("kind", "the KIND of fault, as latency"), ("target", "--target, as products")):
        if name not in document:
            raise FaultError(f"{name}: give {word}, or a document with --file")
    from cloudcart.faults import parse_fault

    return parse_fault(document)


def _document(parameters: Mapping[str, str], options: Mapping[str, object]) -> dict[str, object]:
    """Return the flat document that the words describe; what is said twice is an error, not a guess."""
    given = {name: value for name, value in options.items() if value is not None}
    if twice := given.keys() & parameters.keys():
        name = min(twice)
        raise FaultError(f"{name}: given by an option and by --param; give it once")
    return {**given, **parameters}


@click.command()
@click.argument("fault_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every fault; the same as giving no ID.")
@name_option
@json_option
def heal(fault_id: str | None, every: bool, name: str, as_json: bool) -> None:
    """End a fault of a running lab, or all of them.

    'cloudcart status' shows the faults that act. Healing one that has ended already changes nothing.
    """
    if fault_id and every:
        raise FaultError("give the ID of one fault, or --all, not both")
    from cloudcart.lab import attach

    chaos = attach(name).chaos
    try:
        healed = [chaos.heal(fault_id)] if fault_id else chaos.heal_all()
    except FaultError:
        said = f"lab {name!r} never had a fault {fault_id!r}; 'cloudcart status' shows those that act"
        raise FaultError(said) from None
    if as_json:
        emit_json(healed)
        return
    for fault in healed:
        click.echo(f"{fault['id']}: {fault['label']} is {fault['state']}, injected {fault['injected']} times")
    if not healed:
        click.echo("no fault was active")
