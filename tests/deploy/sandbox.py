"""Run a unit's command with the unit's system call filter, address families and memory rule.

As systemd does: what is not allowed fails with EPERM. `sandbox.py UNIT COMMAND...`; the user and
the capabilities are the caller's to set.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from units import Unit, find, last

ALLOW, EPERM_ERROR = 0x7FFF0000, 0x00050000 | 1
_EQUAL = 4
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 38, 65
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


class _Argument(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def expand(names: list[str]) -> set[str]:
    """System calls of these names and @groups, as this systemd knows them."""
    calls: set[str] = set()
    for name in names:
        if not name.startswith("@"):
            calls.add(name)
            continue
        told = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
        )
        inner = [one.strip() for one in told.stdout.splitlines()[1:]]
        calls |= expand([one for one in inner if one and not one.startswith("#")])
    return calls


def allowed(unit: Unit) -> set[str] | None:
    """What the unit's filter lets pass; None without a filter. `SystemCallFilter=` lines hold in
    order, the first one here is a list of what is allowed; @default always is."""
    calls: set[str] | None = None
    for line in unit.get("SystemCallFilter", []):
        if line.startswith("~"):
            assert calls is not None, "begins with what is forbidden"
            calls -= expand(line[1:].split())
        else:
            calls = (calls or expand(["@default"])) | expand(line.split())
    return calls


def confine(unit: Unit) -> None:
    """This process, and what it becomes, from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if last(unit, "MemoryDenyWriteExecute") == "yes":
        libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0)  # since Linux 6.3; before that it is not tried
    calls = allowed(unit)
    if calls is None:
        return
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(EPERM_ERROR))
    families = last(unit, "RestrictAddressFamilies").split()
    for name in sorted(calls):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # of another architecture
            continue
        if name == "socket" and families:
            for family in families:
                equal = _Argument(0, _EQUAL, _FAMILIES[family], 0)
                seccomp.seccomp_rule_add_array(context, ALLOW, number, 1, ctypes.byref(equal))
        else:
            assert seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None) == 0, name
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(find(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
