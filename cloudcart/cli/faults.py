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
    from cloudcart.faults.catalogue import catalogue

    entries = [entry for entry in catalogue() if kind in (None, entry["kind"])]
    if not entries:
        known = ", ".join(str(entry["kind"]) for entry in catalogue())
        raise FaultError(f"there is no fault {kind!r}; choose one of {known}")
    if as_json:
        emit_json(entries)
    elif kind is None:
        _show_kinds(entries)
    else:
        _show_kind(kind)


def _show_kinds(entries: Iterable[Mapping[str, Any]]) -> None:
    table = plain_table("kind", "acts on", "what it does")
    for entry in entries:
        needs = f" (needs {entry['needs']})" if entry["needs"] else ""
        table.add_row(entry["kind"], entry["acts_on"], f"{entry['description']}{needs}")
    show(table, "\nParameters of one: cloudcart faults latency")


def _show_kind(name: str) -> None:
    from cloudcart.faults import FAULTS
    from cloudcart.faults.catalogue import describe, example, parameters, promise

    kind = FAULTS[name]
    table = plain_table("parameter", "default", "unit", "what it does")
    for parameter in parameters(kind):
        table.add_row(*map(escape, parameter))
    show(
        f"[bold]{name}[/bold]: {escape(describe(kind))}\n",
        table,
        f"\nWhat to expect: {escape(promise(kind))}",
        f"Example: {escape(example(kind))}",
    )


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
