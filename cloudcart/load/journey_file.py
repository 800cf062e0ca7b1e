"""Reads a journey's file and says in one sentence what is wrong with it.

Used by the generator only: journeys import Locust.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from cloudcart.exceptions import UsageError
from cloudcart.load.journey import Journey


def load_journey(file: Path) -> type[Journey]:
    """Return the one journey that ``file`` defines.

    Raises:
        UsageError: the file cannot be imported, or defines no journey, or several; the sentence names file and line.
    """
    module = _imported(file)
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Journey)]
    journeys = [value for value in classes if value.__module__ == module.__name__ and not value.abstract]
    if len(journeys) == 1:
        return journeys[0]
    if journeys:
        names = ", ".join(journey.__name__ for journey in journeys)
        raise UsageError(f"{file}: one journey per file, please, not {len(journeys)} ({names}); move the others away")
    raise UsageError(f"{file}: no class here inherits cloudcart.load.Journey; write one with a method visit()")


def _imported(file: Path) -> ModuleType:
    name = f"cloudcart_journey_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))  # a journey may import what lies beside it, as with plain Locust
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{file} cannot be imported: {where_and_what(error, file)}") from error
    return module


def where_and_what(error: BaseException, file: Path) -> str:
    """Return ``line 3: NameError: ..``, with the last line of ``file`` that the error came through."""
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"line {error.lineno}: SyntaxError: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"line {lines[-1]}: {what}" if lines else what
