"""`python -m tests.endtoend [FOLDER]`: the district's bad two minutes, and the table of truth
and findings. With FOLDER settings, ledger and logs stay there."""

import sys
import tempfile
from pathlib import Path

from tests.endtoend.story import staged, tell
from tests.endtoend.verdicts import table, unsaid


def main(argv: list[str]) -> int:
    """The exit status: 1 where something is wrong."""
    with tempfile.TemporaryDirectory(prefix="pantau-district-") as scratch:
        folder = Path(argv[0]) if argv else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with staged(folder.resolve()) as stage:
            story = tell(stage)
        rows = story.rows()
        sys.stdout.write(table(rows, story.began_s) + "\n")
        return 1 if unsaid(rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
