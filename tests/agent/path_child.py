"""As measure_child, for path targets: nobody may not read root's Python later, so load it now."""

import runpy
from pathlib import Path

import agent.probes.path  # noqa: F401

runpy.run_path(str(Path(__file__).with_name("measure_child.py")), run_name="__main__")
