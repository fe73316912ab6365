"""A part of a bench in a process of its own, so that the memory which is told is that part's."""

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path


def apart(what: Callable[[Path, argparse.Namespace], None], *told: object) -> None:
    """In a process of its own. Exits where it fails."""
    process = multiprocessing.get_context("spawn").Process(target=what, args=told)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
