"""`pantau-collector demo`: the whole of Pantau on one machine, in one minute.

As root: a collector and three nodes in network namespaces, behind emulated links of different
quality; one link is cut and mended. Otherwise: one node on loopback, and the hub goes away and
comes back. All of it is real: the same programs, real packets, a real ledger, and the shipped rules
in Prometheus and Alertmanager where this machine has them. It listens on loopback and inside its
own namespaces, and leaves nothing behind.
"""

import contextlib
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from runtime.lab.build import available

SHORTEST_S = 45.0


def duration_s(text: str | None) -> float | None:
    """Seconds of "60s", "2m" or "90"; None for no end. Raises ValueError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)?", text.strip())
    if match is None:
        raise ValueError(f"--for {text!r}: expected a number of seconds or minutes: 60s, 2m")
    seconds = float(match[1]) * (60 if match[2] == "m" else 1)
    if seconds < SHORTEST_S:
        raise ValueError(f"--for {text!r}: the story takes at least {SHORTEST_S:.0f}s")
    return seconds


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(duration: str | None, *, keep: bool) -> int:
    """Run the demo; the exit status is 0 only if all that was promised happened."""
    from collector.demo import alerting
    from collector.demo.scene import SceneError, loopback, namespaces
    from collector.demo.story import Story

    try:
        seconds = duration_s(duration)
    except ValueError as error:
        sys.stderr.write(f"pantau-collector: {error}\n")
        return 2
    why_not = available()
    if why_not is not None:
        sys.stdout.write(f"One node on loopback instead of three behind links: {why_not}\n")
    alone = alerting.why_not()
    if alone is not None:
        sys.stdout.write(f"No Prometheus and no Alertmanager beside it: {alone}\n")
    folder = Path(tempfile.mkdtemp(prefix="pantau-demo-"))
    signal.signal(signal.SIGTERM, _interrupt)
    make = namespaces if why_not is None else loopback
    try:
        with contextlib.ExitStack() as stage:
            scene = stage.enter_context(make(folder))
            beside = (
                alerting.Alerting()
                if alone is not None
                else stage.enter_context(alerting.watching(folder, scene.url))
            )
            return Story(scene, seconds, beside).play()
    except SceneError as error:
        sys.stderr.write(f"pantau-collector: demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if keep:
            sys.stdout.write(f"Everything is kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
