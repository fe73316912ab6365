"""A simulated device behind the real snmpd: `pass_persist` program that reads a table from a file.

Usage: snmp_device.py TABLE. TABLE is JSON: OID -> [type, value], read anew for every question.
"""

import json
import sys
from pathlib import Path


def arcs(oid: str) -> tuple[int, ...]:
    return tuple(int(arc) for arc in oid.strip(".").split("."))


def answer(table: dict[str, list[str]], verb: str, oid: str) -> str:
    rows = {arcs(name): value for name, value in table.items()}
    asked = arcs(oid)
    if verb == "getnext":
        asked = min((row for row in rows if row > asked), default=())
    if asked not in rows:
        return "NONE"
    kind, value = rows[asked]
    return "\n".join(["." + ".".join(map(str, asked)), kind, str(value)])


def main() -> None:
    while line := sys.stdin.readline():
        verb = line.strip()
        if verb == "PING":
            print("PONG", flush=True)
        elif verb in ("get", "getnext"):
            oid = sys.stdin.readline()
            print(answer(json.loads(Path(sys.argv[1]).read_text()), verb, oid), flush=True)


main()
