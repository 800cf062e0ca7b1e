"""``cloudcart import``: experiments of other tools as ours.

Not here: what their parts mean (``cloudcart.experiment.chaostoolkit``).
"""

from __future__ import annotations

from pathlib import Path

import click

from cloudcart.cli.options import as_pairs
from cloudcart.cli.output import note


@click.group("import")
def import_() -> None:
    """Make an experiment of another tool's file."""


@import_.command()
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it, not to show.")
@click.option(
    "-m",
    "--map",
    "names",
    multiple=True,
    callback=as_pairs,
    metavar="NAME=TARGET",
    help="What a name in the file means here, as catalog=products or db=products->postgres; repeatable.",
)
@click.option("--journey", default="browse", show_default=True, help="The load, since the file has none.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Arrivals a second.")
def chaostoolkit(path: Path, output: Path | None, names: dict[str, str], journey: str, rate: float) -> None:
    """Make an experiment of a Chaos Toolkit file, in JSON or YAML.

    Says of each activity what became of it, or what to write instead; the lines are kept at the head of the new file.
    Nothing in FILE is executed.

    \b
    cloudcart import chaostoolkit experiment.json -o experiment.yaml
    cloudcart run experiment.yaml
    """
    from cloudcart.documents import write_yaml
    from cloudcart.experiment import experiment_document
    from cloudcart.experiment.chaostoolkit import heading, import_chaostoolkit

    imported = import_chaostoolkit(path, names=names, journey=journey, rate=rate)
    text = write_yaml(experiment_document(imported.experiment), heading=heading(path, imported))
    for line in imported.lines:
        note(str(line))
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    faults = len(imported.experiment.faults)
    note(f"{output}: {faults} fault{'' if faults == 1 else 's'}; run it with: cloudcart run {output}")
