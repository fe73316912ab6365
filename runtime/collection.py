"""How often Python looks for garbage that holds on to itself."""

import gc

_OBJECTS = 20_000
"""New objects between two looks: a thousand targets' packets of some seconds are under way at any
moment, and looking at them every 700 cost 5 to 10 % of the processor time."""
_ROUNDS = 50


def collect_rarely() -> None:
    """For a program that has started and runs for months: what is there now is never looked at
    again, and what comes is looked at in large portions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _ROUNDS, _ROUNDS)
