"""Looking for garbage rarely, in a process of its own: it concerns the whole process."""

import subprocess
import sys

PROGRAM = """
import gc
from runtime.collection import collect_rarely

class Knot:
    alive = 0
    def __init__(self):
        self.me = self
        Knot.alive += 1
    def __del__(self):
        Knot.alive -= 1

Knot()
collect_rarely()
assert Knot.alive == 0, "what was there to collect is collected first"
assert gc.isenabled() and gc.get_freeze_count() > 1000
most = 0
for _ in range(100_000):
    Knot()
    most = max(most, Knot.alive)
print(most)
"""


def test_garbage_is_looked_for_in_large_portions_and_still_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert 5_000 < int(done.stdout) < 50_000
