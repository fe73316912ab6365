"""systemctl for a machine without systemd: starts what units say, as they say, in the foreground of
a supervisor that hears their notifications. Restart= and dependencies are left out."""

import json
import os
import pwd
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from units import Unit, find, last, seconds

STATE = Path("/run/units")
PATIENCE_S = 60


def state(name: str) -> dict[str, object]:
    try:
        return dict(json.loads((STATE / f"{name}.json").read_text()))
    except FileNotFoundError:
        return {"active": False}


def tell(name: str, **changes: object) -> None:
    draft = STATE / f"{name}.new"
    draft.write_text(json.dumps({**state(name), **changes}))
    draft.rename(STATE / f"{name}.json")


def command(unit: Unit, name: str, line: str, env: dict[str, str]) -> list[str]:
    """The command line, with the unit's user, capabilities and filters before it."""
    text = re.sub(r"\$(\w+)", lambda match: env.get(match[1], ""), line)
    user = last(unit, "User")
    if not user:
        return shlex.split(text)
    wanted = last(unit, "AmbientCapabilities").split()
    group = last(unit, "Group") or str(pwd.getpwnam(user).pw_gid)
    lists = ",".join(["-all", *(f"+{one.removeprefix('CAP_').lower()}" for one in wanted)])
    return [
        "setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs",
        f"--inh-caps={lists}", f"--ambient-caps={lists}", f"--bounding-set={lists}",
        sys.executable, str(Path(__file__).with_name("sandbox.py")), name, *shlex.split(text),
    ]  # fmt: skip


def environment(unit: Unit) -> dict[str, str]:
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
    for file in unit.get("EnvironmentFile", []):
        for line in Path(file).read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                env[key] = " ".join(shlex.split(value))
    return env


def supervise(name: str, unit: Unit, env: dict[str, str]) -> None:
    """Never returns: the service's parent, until it ends."""
    file = STATE / f"{name}.notify"
    file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(file))
    file.chmod(0o777)
    listener.settimeout(0.1)
    if last(unit, "WatchdogSec"):
        env["WATCHDOG_USEC"] = str(int(seconds(last(unit, "WatchdogSec")) * 1e6))
    env["NOTIFY_SOCKET"] = str(file)

    def limits() -> None:
        os.umask(int(last(unit, "UMask", "0022"), 8))
        if last(unit, "LimitNOFILE"):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            most = min(int(last(unit, "LimitNOFILE")), hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    with (STATE / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command(unit, name, last(unit, "ExecStart"), env), cwd="/", env=env,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limits,
        )  # fmt: skip
    typ = last(unit, "Type", "simple")
    tell(name, active=True, ready=typ == "simple", pid=process.pid, beats=0)
    beats = 0
    while process.poll() is None:
        try:
            heard = dict(line.split("=", 1) for line in listener.recv(4096).decode().splitlines())
        except TimeoutError:
            continue
        beats += "WATCHDOG" in heard
        changes = {"beats": beats}
        if "READY" in heard:
            changes["ready"] = True
        tell(name, **changes, **({"status": heard["STATUS"]} if "STATUS" in heard else {}))
    tell(name, active=False, ready=False, exit=process.returncode)
    os._exit(0)


def start(name: str) -> int:
    unit = find(name)
    if state(name)["active"]:
        return 0
    for path in unit.get("ConditionPathExists", []):
        if not Path(path).exists():
            print(f"{name}: condition failed: ConditionPathExists={path}")
            return 0
    make_folders(unit)
    (STATE / f"{name}.json").unlink(missing_ok=True)
    if os.fork() == 0:
        os.setsid()
        # Not the caller's pipes: it would wait for their end.
        said = os.open(STATE / f"{name}.supervisor.log", os.O_CREAT | os.O_RDWR, 0o644)
        for descriptor in range(3):
            os.dup2(said, descriptor)
        supervise(name, unit, environment(unit))
    return until_started(name, once=last(unit, "Type") == "oneshot")


def make_folders(unit: Unit) -> None:
    for one in unit.get("StateDirectory", []):
        folder, user = Path("/var/lib") / one, pwd.getpwnam(last(unit, "User"))
        folder.mkdir(exist_ok=True, mode=int(last(unit, "StateDirectoryMode", "0755"), 8))
        os.chown(folder, user.pw_uid, user.pw_gid)


def until_started(name: str, *, once: bool) -> int:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        told = state(name)
        if told.get("ready") and not once:
            return 0
        if "exit" in told:
            failed = told["exit"] != 0 or not once
            if failed:
                print(f"Job for {name} failed.", file=sys.stderr)
            return int(failed)
        time.sleep(0.05)
    print(f"Job for {name} failed because a timeout was exceeded.", file=sys.stderr)
    return 1


def stop(name: str) -> int:
    told = state(name)
    if not told["active"]:
        return 0
    os.kill(int(str(told["pid"])), signal.SIGTERM)
    end = time.monotonic() + seconds(last(find(name), "TimeoutStopSec", "90s"))
    while state(name)["active"]:
        if time.monotonic() > end:
            print(f"{name} does not stop", file=sys.stderr)
            return 1
        time.sleep(0.05)
    return 0


def reload(name: str) -> int:
    unit, told = find(name), state(name)
    env = {**environment(unit), "MAINPID": str(told["pid"])}
    for line in unit.get("ExecReload", []):
        if code := subprocess.run(command(unit, name, line, env), env=env, check=False).returncode:
            print(f"Job for {name} failed.", file=sys.stderr)
            return code
    return 0


def one(verb: str, name: str) -> int:
    active = bool(state(name)["active"])
    if verb == "is-active":
        print("active" if active else "inactive")
        return 0 if active else 3
    if verb == "status":
        print(json.dumps(state(name)))
        return 0 if active else 3
    if verb in ("restart", "try-restart"):
        if verb == "try-restart" and not active:
            return 0
        return stop(name) or start(name)
    return {"start": start, "stop": stop, "reload": reload}[verb](name)


def main(words: list[str]) -> int:
    names = [word for word in words[1:] if not word.startswith("-")]
    if words[0] == "daemon-reload":
        return 0
    verb = words[0]
    if verb in ("enable", "disable"):
        for name in names:
            find(name)
        if "--now" not in words:
            return 0
        verb = "start" if verb == "enable" else "stop"
    # A timer waits for its time, which no test has.
    services = [name for name in names if not name.endswith(".timer")]
    return max((one(verb, name.removesuffix(".service")) for name in services), default=0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(5)
