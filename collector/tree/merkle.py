"""Merkle tree hashing and its proofs (RFC 9162 section 2.1): pure.

A tree is given by `node(level, place)`: the hash of the complete subtree over the 2^level leaves
from `place * 2^level` on; level 0 are the leaf hashes. Sizes, positions and places count leaves
and nodes from 0; every hash is 32 bytes.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

Node = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""
HASH_BYTES = 32


class ProofError(ValueError):
    """A proof that proves nothing; the text says why."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf that holds `data`."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node over these two."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def of_leaves(hashes: Sequence[bytes]) -> Node:
    """The tree over leaf hashes that are all at hand."""

    def node(level: int, place: int) -> bytes:
        if level == 0:
            return hashes[place]
        return node_hash(node(level - 1, 2 * place), node(level - 1, 2 * place + 1))

    return node


def _split(leaves: int) -> int:
    """The largest power of two below `leaves`, which is 2 or more."""
    return 1 << ((leaves - 1).bit_length() - 1)


def _range(node: Node, start: int, end: int) -> bytes:
    """Hash over the leaves of a subtree that the RFC's recursion comes to."""
    leaves = end - start
    if leaves & (leaves - 1) == 0:
        level = leaves.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(leaves)
    return node_hash(_range(node, start, middle), _range(node, middle, end))


def root(node: Node, size: int) -> bytes:
    """Root over the first `size` leaves (section 2.1.1)."""
    return _range(node, 0, size) if size else EMPTY_ROOT


# --- one leaf ---------------------------------------------------------------------------------


def inclusion(node: Node, position: int, size: int) -> list[bytes]:
    """Proof that the leaf at `position` is among the first `size` (section 2.1.3.1).

    Raises ValueError for a position outside of them.
    """
    if not 0 <= position < size:
        raise ValueError(f"position {position}: expected less than the tree's size {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if position < middle:
            path.append(_range(node, middle, end))
            end = middle
        else:
            path.append(_range(node, start, middle))
            start = middle
    return path[::-1]


def included_root(leaf: bytes, position: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the proof leads to from this leaf hash (section 2.1.3.2).

    Raises ProofError for a proof of a wrong length or place.
    """
    if not 0 <= position < size:
        raise ProofError(f"position {position} is not in a tree of {size} leaves")
    at, last, found = position, size - 1, leaf
    for one in path:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if at & 1 or at == last:
            found = node_hash(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofError("the inclusion proof is too short")
    return found


# --- two heads --------------------------------------------------------------------------------


def consistency(node: Node, first: int, second: int) -> list[bytes]:
    """Proof that the tree of `first` leaves begins the one of `second` (section 2.1.4.1).

    Raises ValueError unless 0 < first <= second.
    """
    if not 0 < first <= second:
        raise ValueError(f"sizes {first} and {second}: expected 0 < first <= second")
    path: list[bytes] = []
    start, end, whole = 0, second, True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            path.append(_range(node, middle, end))
            end = middle
        else:
            path.append(_range(node, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(_range(node, start, end))
    return path[::-1]


def check_consistency(
    old: tuple[int, bytes], new: tuple[int, bytes], path: Sequence[bytes]
) -> None:
    """Raises ProofError unless `path` proves that the tree `old` (size, root) begins `new`
    (section 2.1.4.2)."""
    first, second = old[0], new[0]
    if first > second:
        raise ProofError(f"a tree of {first} leaves begins none of {second}")
    if first in (0, second):
        expected = new[1] if first == second else EMPTY_ROOT
        if path or old[1] != expected:
            raise ProofError("two roots for one size" if first else "no root of no leaves")
        return
    hashes = list(path)
    if first & (first - 1) == 0:
        hashes.insert(0, old[1])
    if not hashes:
        raise ProofError("the consistency proof is empty")
    if _both_roots(first - 1, second - 1, hashes) != (old[1], new[1]):
        raise ProofError("the trees do not begin alike")


def _both_roots(at: int, last: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the old and of the new tree that a consistency proof leads to."""
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if at & 1 or at == last:
            before, after = node_hash(one, before), node_hash(one, after)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, one)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    return before, after


# --- many leaves ------------------------------------------------------------------------------


def inclusions(node: Node, positions: Sequence[int], size: int) -> list[bytes]:
    """The nodes beside these positions (ascending, each once) that lead to the root of `size`
    leaves, from left to right: one proof for all of them, each node of it once.

    Raises ValueError for positions out of order or outside of the tree.
    """
    _check_positions(positions, size)

    def beside(start: int, end: int) -> Iterator[bytes]:
        low = bisect_left(positions, start)
        if low == len(positions) or positions[low] >= end:
            yield _range(node, start, end)
        elif end - start > 1:
            middle = start + _split(end - start)
            yield from beside(start, middle)
            yield from beside(middle, end)

    return list(beside(0, size)) if size else []


def included_roots(
    leaves: Sequence[tuple[int, bytes]], size: int, beside: Sequence[bytes]
) -> bytes:
    """The root that `inclusions` leads to from these (position, leaf hash).

    Raises ProofError where the proof is too long or too short, or positions are wrong.
    """
    positions = [position for position, _ in leaves]
    try:
        _check_positions(positions, size)
    except ValueError as error:
        raise ProofError(str(error)) from error
    given = iter(beside)

    def found(start: int, end: int) -> bytes:
        low = bisect_left(positions, start)
        if low == len(positions) or positions[low] >= end:
            one = next(given, None)
            if one is None:
                raise ProofError("the proof of the leaves is too short")
            return one
        if end - start == 1:
            return leaves[low][1]
        middle = start + _split(end - start)
        left = found(start, middle)
        return node_hash(left, found(middle, end))

    whole = found(0, size) if size else EMPTY_ROOT
    if next(given, None) is not None:
        raise ProofError("the proof of the leaves is too long")
    return whole


def _check_positions(positions: Sequence[int], size: int) -> None:
    before = -1
    for one in positions:
        if one <= before:
            raise ValueError(f"position {one} after {before}: expected ascending positions")
        before = one
    if before >= size:
        raise ValueError(f"position {before}: expected less than the tree's size {size}")
