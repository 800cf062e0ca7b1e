"""The command ``cloudcart``: one file per group of commands, put together in :mod:`cloudcart.cli.program`.

Not here: anything that a Python caller could want; each command reads its words, calls the package and prints. The
console script calls :func:`main`. Nothing heavy is imported before a command needs it, so that ``--help`` is immediate.
"""

from cloudcart.cli.program import main

__all__ = ["main"]
