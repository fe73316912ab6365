"""JSON lines or msgpack, zstd level 3 or 9: bytes and microseconds of one realistic minute.

    python bench/body_codec.py [--minutes 20]

A minute is five targets at one packet a second and six heartbeats. RTTs are log-normal around
24 ms with nanosecond digits, 1 % of packets are lost: digits are what compresses worst, so an
invented minute must have as many as a real one. Prints a table, asserts nothing.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import zstandard

from wire.codec import Record
from wire.instant import ClockClass
from wire.journal import Heartbeat
from wire.observation import Outcome, StampSource, Train

SECOND = 1_000_000_000
ROUNDS = 30
TARGETS = [
    ("hub", "stamp", "198.51.100.7", 24.0),
    ("gateway", "icmp", "192.168.1.1", 0.4),
    ("first-hop", "icmp", "203.0.113.1", 3.1),
    ("anchor-a", "icmp", "198.51.100.20", 25.0),
    ("anchor-b", "icmp", "2001:db8:77::2", 31.0),
]


def minute(number: int, chance: random.Random) -> list[Record]:
    """Sixty seconds of five targets and six heartbeats."""
    boot_ns = 4_200 * SECOND + number * 60 * SECOND
    records: list[Record] = [
        Heartbeat(
            boot_ns=boot_ns + k * 10 * SECOND + chance.randrange(10**6),
            wall_ns=1_790_000_000 * SECOND + boot_ns + k * 10 * SECOND,
            clock=ClockClass.A,
            clock_error_ns=chance.randrange(10**7),
            clock_source="kernel",
            slot_late_ns=chance.randrange(10**6),
            send_call_ns=chance.randrange(10**5),
            spool_bytes=8_192 * chance.randrange(1, 50),
        )
        for k in range(6)
    ]
    for name, probe, address, median_ms in TARGETS:
        lost = [chance.random() < 0.01 for _ in range(60)]
        stamp_target = probe == "stamp"
        records.append(
            Train(
                link="desa-001/icon",
                target=name,
                probe=probe,
                address=address,
                first_seq=number * 60,
                boot_ns=boot_ns + chance.randrange(SECOND),
                interval_ns=SECOND,
                timeout_ns=2 * SECOND,
                send_us=[k * 1_000_000 + chance.randrange(400) for k in range(60)],
                rtt_ns=[
                    None if gone else int(median_ms * 1e6 * chance.lognormvariate(0, 0.1))
                    for gone in lost
                ],
                outcome=[Outcome.TIMEOUT if gone else Outcome.OK for gone in lost],
                stamp=[StampSource.NONE if gone else StampSource.KERNEL for gone in lost],
                size=44,
                reflector_seq=[None if gone else number * 60 + k for k, gone in enumerate(lost)]
                if stamp_target
                else None,
                ttl=[None if gone else 58 for gone in lost],
            )
        )
    return records


def as_json(records: Sequence[Record]) -> bytes:
    """The form that is used."""
    return b"\n".join(msgspec.json.encode(record) for record in records)


def as_msgpack(records: Sequence[Record]) -> bytes:
    """The form that was weighed against it."""
    return msgspec.msgpack.encode(records)


_LINES = msgspec.json.Decoder(Record)
_PACKED = msgspec.msgpack.Decoder(list[Record])


def from_json(raw: bytes) -> list[Record]:
    """As the collector reads it."""
    return [_LINES.decode(line) for line in raw.split(b"\n")]


def from_msgpack(raw: bytes) -> list[Record]:
    """As it would read the other."""
    return _PACKED.decode(raw)


FORMS: dict[str, tuple[Callable[[Sequence[Record]], bytes], Callable[[bytes], list[Record]]]] = {
    "json": (as_json, from_json),
    "msgpack": (as_msgpack, from_msgpack),
}


def best_us(act: Callable[[], object]) -> float:
    """Microseconds of the fastest of some runs."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        act()
        times.append(time.perf_counter_ns() - began)
    return min(times) / 1_000


def weigh(form: str, level: int, minutes: Sequence[Sequence[Record]]) -> list[float]:
    """Medians over the minutes: raw and squeezed bytes, then microseconds of the four steps."""
    encode, decode = FORMS[form]
    squeeze = zstandard.ZstdCompressor(level=level).compress
    loosen = zstandard.ZstdDecompressor().decompress
    rows = []
    for records in minutes:
        raw = encode(records)
        body = squeeze(raw)
        steps: list[Callable[[], object]] = [
            partial(encode, records),
            partial(squeeze, raw),
            partial(loosen, body),
            partial(decode, raw),
        ]
        rows.append([len(raw), len(body), *(best_us(step) for step in steps)])
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=20)
    chance = random.Random(1)
    minutes = [minute(k, chance) for k in range(parser.parse_args().minutes)]
    print(f"{len(minutes)} minutes of 5 targets x 60 observations: medians; best of {ROUNDS} runs")
    heads = ("raw B", "zstd B", "encode us", "zstd us", "unzstd us", "decode us")
    print(f"{'form':<9}{'level':>5}" + "".join(f"{head:>11}" for head in heads))
    for form in FORMS:
        for level in (3, 9):
            row = "".join(f"{value:>11.0f}" for value in weigh(form, level, minutes))
            print(f"{form:<9}{level:>5}{row}")


if __name__ == "__main__":
    main()
