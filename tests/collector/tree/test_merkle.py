"""RFC 9162 section 2.1, by the vectors that implementations share, and by its own rules."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.tree import merkle as m

INPUTS = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [m.leaf_hash(one) for one in INPUTS]
TREE = m.of_leaves(LEAVES)
INCLUSION = [
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    assert m.root(TREE, size).hex() == ROOTS[size]


@pytest.mark.parametrize(("position", "size", "path"), INCLUSION)
def test_inclusion_vectors(position: int, size: int, path: list[str]) -> None:
    assert [one.hex() for one in m.inclusion(TREE, position, size)] == path


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_consistency_vectors(first: int, second: int, path: list[str]) -> None:
    assert [one.hex() for one in m.consistency(TREE, first, second)] == path


SIZES = st.integers(1, 70)


@given(SIZES, st.data())
def test_every_leaf_is_proved_and_no_other(size: int, data: st.DataObject) -> None:
    hashes = [m.leaf_hash(k.to_bytes(2, "big")) for k in range(size)]
    tree = m.of_leaves(hashes)
    position = data.draw(st.integers(0, size - 1))
    path, root = m.inclusion(tree, position, size), m.root(tree, size)
    assert m.included_root(hashes[position], position, size, path) == root
    wrong: list[tuple[bytes, int, int, list[bytes]]] = [
        (flipped(hashes[position]), position, size, path),
        (hashes[position], position, size, [*path, root]),
        (hashes[position], size, size, path),
        *((hashes[position], other, size, path) for other in range(size) if other != position),
        *(
            (hashes[position], position, size, [*path[:k], flipped(path[k]), *path[k + 1 :]])
            for k in range(len(path))
        ),
        *([(hashes[position], position, size, path[:-1])] if path else []),
    ]
    for one in wrong:
        try:
            assert m.included_root(*one) != root
        except m.ProofError:
            continue


@given(SIZES, SIZES, st.data())
def test_every_beginning_is_proved_and_no_other(a: int, b: int, data: st.DataObject) -> None:
    first, second = sorted((a, b))
    hashes = [m.leaf_hash(k.to_bytes(2, "big")) for k in range(second)]
    tree = m.of_leaves(hashes)
    old, new = (first, m.root(tree, first)), (second, m.root(tree, second))
    path = m.consistency(tree, first, second)
    m.check_consistency(old, new, path)
    wrong = [
        ((first, flipped(old[1])), new, path),
        (old, (second, flipped(new[1])), path),
        (old, new, [*path, new[1]]),
        *((old, new, [*path[:k], flipped(path[k]), *path[k + 1 :]]) for k in range(len(path))),
        *([(old, new, path[:-1])] if path else []),
        *([(new, old, path)] if first != second else []),
    ]
    for one in wrong:
        with pytest.raises(m.ProofError):
            m.check_consistency(*one)
    altered = data.draw(st.integers(0, first - 1))
    forged = m.of_leaves([flipped(h) if k == altered else h for k, h in enumerate(hashes)])
    if first != second:
        with pytest.raises(m.ProofError):
            m.check_consistency(
                old, (second, m.root(forged, second)), m.consistency(forged, first, second)
            )


@given(SIZES, st.data())
def test_many_leaves_are_proved_at_once(size: int, data: st.DataObject) -> None:
    hashes = [m.leaf_hash(k.to_bytes(2, "big")) for k in range(size)]
    tree, root = m.of_leaves(hashes), m.root(m.of_leaves(hashes), size)
    positions = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    leaves = [(k, hashes[k]) for k in positions]
    beside = m.inclusions(tree, positions, size)
    assert m.included_roots(leaves, size, beside) == root
    k = data.draw(st.integers(0, len(leaves) - 1))
    forged = [*leaves[:k], (leaves[k][0], flipped(leaves[k][1])), *leaves[k + 1 :]]
    assert m.included_roots(forged, size, beside) != root
    for wrong in ([*beside, root], beside[:-1] if beside else None):
        if wrong is not None:
            with pytest.raises(m.ProofError):
                m.included_roots(leaves, size, wrong)
    missing = [one for one in leaves if one != leaves[k]]
    try:
        assert m.included_roots(missing, size, beside) != root
    except m.ProofError:
        return


def test_one_proof_for_all_is_smaller_than_one_for_each() -> None:
    hashes = [m.leaf_hash(k.to_bytes(2, "big")) for k in range(512)]
    tree = m.of_leaves(hashes)
    positions = list(range(100, 200))
    one_by_one = sum(len(m.inclusion(tree, k, 512)) for k in positions)
    assert len(m.inclusions(tree, positions, 512)) < one_by_one / 50
    assert m.inclusions(tree, [], 512) == [m.root(tree, 512)]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: m.inclusion(TREE, 8, 8), "expected less than the tree's size 8"),
        (lambda: m.consistency(TREE, 0, 8), "expected 0 < first <= second"),
        (lambda: m.consistency(TREE, 5, 4), "expected 0 < first <= second"),
        (lambda: m.inclusions(TREE, [3, 3], 8), "expected ascending positions"),
        (lambda: m.inclusions(TREE, [3, 9], 8), "expected less than the tree's size 8"),
    ],
)
def test_what_cannot_be_proved_is_refused(ask, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask()


def test_the_tree_without_leaves_begins_every_tree() -> None:
    m.check_consistency((0, m.EMPTY_ROOT), (3, m.root(TREE, 3)), [])
    with pytest.raises(m.ProofError):
        m.check_consistency((0, LEAVES[0]), (3, m.root(TREE, 3)), [])
    for a, b in pairwise(range(9)):
        assert ROOTS[a] != ROOTS[b]
