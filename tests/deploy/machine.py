"""A machine of a test's own, in namespaces: this one's files, and a network of its own.

What is written there lies in a tmpfs over the real files and is gone with the machine; what runs
there dies with it. It has this machine's programs. In the place of systemd there is `systemctl.py`,
which starts what a unit says, as the unit says.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_SET_UP = f"""
set -eu
mount --make-rprivate /
own=$1
mount -t tmpfs -o mode=755 tmpfs "$own"
mkdir -m 755 "$own/upper" "$own/work" "$own/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$own/upper,workdir=$own/work" "$own/root"
cd "$own/root"
findmnt --raw --noheadings --output TARGET | grep -Ev "^/(proc|sys|dev|run|tmp)?(/|$)" \
  | while read -r mounted; do mount --rbind "$mounted" ".$mounted"; done
for one in dev sys; do mount --rbind "/$one" "$one"; done
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
chmod 755 root
mkdir old
pivot_root . old
umount --lazy /old
rmdir /old
mkdir -p /run/systemd/system /run/units
printf '#!/bin/sh\\nexec {sys.executable} {HERE}/systemctl.py "$@"\\n' >/usr/local/bin/systemctl
chmod 755 /usr/local/bin/systemctl
ip link set lo up
touch /run/up
"""


class Machine:
    """Commands run in it as root, by bash, each line having to succeed."""

    def __init__(self, folder: Path) -> None:
        upper = folder / "machine"
        upper.mkdir()
        script = _SET_UP + 'while :; do sleep 1000 & wait "$!" || true; done'
        self.said = folder / "machine.log"
        with self.said.open("wb") as log:
            self._outer = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
                 "bash", "-c", script, "machine", str(upper)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._inner = self._wait()

    def _wait(self) -> int:
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        end = time.monotonic() + 30
        while time.monotonic() < end and self._outer.poll() is None:
            for pid in children.read_text().split():
                if Path(f"/proc/{pid}/root/run/up").exists():
                    return int(pid)
            time.sleep(0.02)
        raise AssertionError(f"no machine: {self.said.read_text()}")

    def run(
        self, script: str, *, stdin: str = "", check: bool = True, seconds: float = 120, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `script` in the repository's folder."""
        done = subprocess.run(
            ["nsenter", f"--target={self._inner}", "--mount", "--net", "--pid",
             "bash", "-euo", "pipefail", "-c", f"cd {ROOT}\n{script}"],
            input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
            env={**os.environ, "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **env},
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"status {done.returncode} of:\n{script}\n{done.stdout}{done.stderr}\n{self.logs()}"
            )
        return done

    def logs(self) -> str:
        """What the services said, newest last."""
        return self.run("tail -n 12 /run/units/*.log 2>/dev/null || true", check=False).stdout

    def path(self, name: str) -> Path:
        """A file of the machine, as this process can read it."""
        return Path(f"/proc/{self._inner}/root") / name.lstrip("/")

    def until(self, script: str, seconds: float = 90) -> str:
        """Run `script` again and again until it succeeds; what it said then."""
        end = time.monotonic() + seconds
        while True:
            done = self.run(script, check=False)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > end:
                raise AssertionError(
                    f"not within {seconds} s:\n{script}\n{done.stdout}{done.stderr}\n{self.logs()}"
                )
            time.sleep(0.3)

    def close(self) -> None:
        """End it and all that runs there."""
        self._outer.send_signal(signal.SIGKILL)
        self._outer.wait()


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """From its start to its end."""
    one = Machine(folder)
    try:
        yield one
    finally:
        one.close()
