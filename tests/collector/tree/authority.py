"""A time-stamping authority of `openssl ts`, over HTTP on loopback."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

_CONFIG = """
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamp]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256
accuracy = secs:1, millisecs:500
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def made(folder: Path) -> Path:
    """Keys, certificates and settings of an authority in this folder; its root's PEM."""
    folder.mkdir(parents=True)
    config = folder / "tsa.cnf"
    config.write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    common = ("req", "-config", str(config), "-x509", "-days", "2", *key)
    _openssl(
        folder,
        *common,
        "-subj",
        "/CN=Root",
        "-extensions",
        "root",
        "-keyout",
        "root.key",
        "-out",
        "root.pem",
    )
    _openssl(
        folder,
        *common,
        "-subj",
        "/CN=Stamps",
        "-extensions",
        "stamp",
        "-CA",
        "root.pem",
        "-CAkey",
        "root.key",
        "-keyout",
        "tsa.key",
        "-out",
        "tsa.pem",
    )
    return folder / "root.pem"


def answer(folder: Path, query: bytes) -> bytes:
    """What the authority in this folder answers."""
    (folder / "query.tsq").write_bytes(query)
    _openssl(
        folder,
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-queryfile",
        "query.tsq",
        "-out",
        "answer.tsr",
    )
    return (folder / "answer.tsr").read_bytes()


class Authority:
    """A running one; `broken` makes it answer something else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: bytes | None = None
        self.asked = 0
        self.url = ""

    async def reply(self, request: web.Request) -> web.Response:
        self.asked += 1
        query = await request.read()
        assert request.headers["Content-Type"] == "application/timestamp-query"
        body = self.broken or await asyncio.to_thread(answer, self.folder, query)
        return web.Response(body=body, content_type="application/timestamp-reply")


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Authority]:
    """The authority that was `made` in this folder."""
    one = Authority(folder)
    app = web.Application()
    app.add_routes([web.post("/tsr", one.reply)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tsr"
    try:
        yield one
    finally:
        await runner.cleanup()
