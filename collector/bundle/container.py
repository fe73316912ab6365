"""The file itself: a tar (POSIX ustar) of which every byte is determined or signed.

The manifest comes first: names, sizes and digests of all members, then its signature. Headers hold
a name and a size and nothing else, so the same members give the same file to the byte; whatever is
neither a member's content nor what its header has to be was altered.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FORMAT = "pantau-evidence"
VERSION = 1
_CONTEXT = b"pantau-evidence-v1\x00"
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_CHUNK = 1 << 20
MAX_MANIFEST_BYTES = 1 << 26
_canonical = msgspec.json.Encoder(order="sorted").encode


class BundleError(ValueError):
    """No bundle, or so damaged that nothing of it can be told apart; the text says where."""


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member by the manifest."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All members, in their order in the file."""

    format: str
    version: int
    collector_key: str
    """Ed25519 public key of the collector that signed this, hex."""
    members: tuple[Listed, ...]


class Member(NamedTuple):
    """A member to be written."""

    name: str
    size: int
    chunks: Iterable[bytes]
    """Of `size` bytes together; made while the file is written."""


def of_bytes(name: str, data: bytes) -> Member:
    """A member that is at hand."""
    return Member(name, len(data), (data,))


def header(name: str, size: int) -> bytes:
    """The one header that a member of this name and size can have."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature of a manifest's bytes."""
    return key.sign(_CONTEXT + manifest)


def signed_by(manifest: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the holder of this key (32 bytes) signed the manifest."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, _CONTEXT + manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def _manifest(listed: Sequence[Listed], key: Ed25519PrivateKey) -> bytes:
    return _canonical(
        Manifest(
            format=FORMAT,
            version=VERSION,
            collector_key=key.public_key().public_bytes_raw().hex(),
            members=tuple(listed),
        )
    )


def write(file: BinaryIO, members: Sequence[Member], key: Ed25519PrivateKey) -> Iterator[int]:
    """Write a bundle to a file that can seek; yields the bytes of each piece as it is written.

    Digests are not known before their members are read once, so the manifest's place is kept free
    and filled at the end.
    """
    empty = "0" * 64
    blank = _manifest([Listed(one.name, one.size, empty) for one in members], key)
    place = len(header(MANIFEST, len(blank)))
    file.write(header(MANIFEST, len(blank)) + blank + _padding(len(blank)))
    file.write(header(SIGNATURE, 64) + bytes(64) + _padding(64))
    listed = []
    for one in members:
        file.write(header(one.name, one.size))
        digest, written = hashlib.sha256(), 0
        for chunk in one.chunks:
            file.write(chunk)
            digest.update(chunk)
            written += len(chunk)
            yield len(chunk)
        if written != one.size:
            raise BundleError(f"{one.name}: {written} bytes, announced were {one.size}")
        file.write(_padding(one.size))
        listed.append(Listed(one.name, one.size, digest.hexdigest()))
    file.write(_END)
    manifest = _manifest(listed, key)
    assert len(manifest) == len(blank)
    file.seek(place)
    file.write(manifest)
    file.seek(place + len(manifest) + len(_padding(len(manifest))) + _BLOCK)
    file.write(sign(manifest, key))
    file.seek(0, 2)


class Found(NamedTuple):
    """A member in a file that is read."""

    listed: Listed
    start: int
    """Its first byte in the file."""


class Container:
    """A bundle that is open; members are read when they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the manifest. Raises BundleError where there is none to go by."""
        self._file = file
        self.faults: list[str] = []
        """Bytes outside of all members that are not what they have to be."""
        size = self._first()
        at = _BLOCK
        self.manifest_bytes = self._bytes(at, size, MANIFEST)
        self.manifest = _parsed(self.manifest_bytes)
        at = self._skip(at, size, MANIFEST)
        self._expect(at, header(SIGNATURE, 64), f"the header of {SIGNATURE}")
        self.signature = self._bytes(at + _BLOCK, 64, SIGNATURE)
        at = self._skip(at + _BLOCK, 64, SIGNATURE)
        self.members: dict[str, Found] = {}
        for one in self.manifest.members:
            self._expect(at, header(one.name, one.size), f"the header of {one.name}")
            self.members[one.name] = Found(one, at + _BLOCK)
            at = self._skip(at + _BLOCK, one.size, one.name)
        self._expect(at, _END, "the end of the bundle")
        file.seek(0, 2)
        if file.tell() > at + len(_END):
            self.faults.append(f"{file.tell() - at - len(_END)} bytes after the end of the bundle")

    def _first(self) -> int:
        """Size of the manifest by its header."""
        self._file.seek(0)
        found = self._file.read(_BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(found, "ascii", "strict")
            known = info.name == MANIFEST and 0 < info.size <= MAX_MANIFEST_BYTES
        except (tarfile.TarError, ValueError) as error:
            raise BundleError(f"no evidence bundle: its first header is no header: {error}") from (
                error
            )
        if not known or header(MANIFEST, info.size) != found:
            raise BundleError(f"no evidence bundle: it does not begin with {MANIFEST}")
        return info.size

    def _bytes(self, start: int, size: int, name: str) -> bytes:
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) != size:
            raise BundleError(f"{name} is cut short: {len(data)} of {size} bytes")
        return data

    def _skip(self, start: int, size: int, name: str) -> int:
        """Where the next header begins."""
        padding = _padding(size)
        self._expect(start + size, padding, f"the padding after {name}")
        return start + size + len(padding)

    def _expect(self, at: int, expected: bytes, what: str) -> None:
        self._file.seek(at)
        found = self._file.read(len(expected))
        if found != expected:
            first = next(
                (k for k, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b),
                len(found),
            )
            word = "is cut off" if first == len(found) else "is altered"
            self.faults.append(f"{what} {word} at byte {at + first}")

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a member as it is, whatever its digest. Raises KeyError for none."""
        one = self.members[name]
        left, at = one.listed.size, one.start
        while left > 0:
            self._file.seek(at)
            data = self._file.read(min(left, _CHUNK))
            if not data:
                return
            yield data
            at, left = at + len(data), left - len(data)

    def read(self, name: str) -> bytes:
        """The whole content of a member."""
        return b"".join(self.chunks(name))

    def good(self, name: str) -> bool:
        """Whether the member is as the manifest says."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.chunks(name):
            digest.update(chunk)
            size += len(chunk)
        listed = self.members[name].listed
        return size == listed.size and digest.hexdigest() == listed.sha256


def _parsed(data: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
        names = [one.name for one in manifest.members]
        headers = [header(one.name, one.size) for one in manifest.members if one.size >= 0]
    except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
        raise BundleError(f"{MANIFEST} is altered: {error}") from error
    if (manifest.format, manifest.version) != (FORMAT, VERSION):
        raise BundleError(
            f"{MANIFEST}: {manifest.format} version {manifest.version}; known: {FORMAT} {VERSION}"
        )
    if len(set(names)) != len(names) or len(headers) != len(names):
        raise BundleError(f"{MANIFEST} is altered: a name twice, or a size below 0")
    return manifest
