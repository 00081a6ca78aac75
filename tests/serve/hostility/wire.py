"""HTTP by hand: requests as raw bytes, whether or not they are HTTP, and the answers to them, byte for byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

HOST = "127.0.0.1"
_LARGEST_HEAD = 2**20
_SMALL = 4096  # bytes
_BODILESS = (204, 304)


@dataclass(frozen=True)
class Answer:
    """One response.

    Args:
        status: HTTP status; 0: what came is no response.
        headers: names in lower case, in order.
        body: without the marks of chunks.
        head: the bytes of the head.
        whole: whether all of it came.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    head: bytes
    whole: bool = True

    def header(self, name: str) -> str:
        """The first value of a header; "" without one."""
        return next((value for found, value in self.headers if found == name), "")

    @property
    def data(self) -> bytes:
        """Everything that came."""
        return self.head + self.body


class Connection:
    """A connection to a server; a server that ends it makes no error."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    async def write(self, data: bytes) -> bool:
        """Send bytes; return False if the server does not take them any more."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return True

    async def answer(self, method: str = "GET") -> Answer | None:
        """Return the next response; None if the server ends the connection before it."""
        try:
            return await _answer(self.reader, method)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except (ValueError, IndexError, asyncio.LimitOverrunError):
            return Answer(0, (), b"", b"", whole=False)

    async def rest(self, most: int = 1000) -> bytes:
        """Read until the server ends the connection, or a whole response; return the last bytes of it."""
        end = b""
        with suppress(ConnectionError):
            while data := await self.reader.read(2**16):
                end = (end + data)[-most:]
        return end

    async def ended(self, most: int = 2**30) -> bool:
        """Wait until the server ends the connection; return False if it sends more than so many bytes instead."""
        size = 0
        with suppress(ConnectionError):
            while size <= most and (data := await self.reader.read(2**16)):
                size += len(data)
        return size <= most


@asynccontextmanager
async def connected(port: int, *, reads: bool = True) -> AsyncIterator[Connection]:
    """Connect while the context is open; `reads`: whether anything is read before somebody asks for it."""
    with socket.socket() as made:
        made.setblocking(False)
        if not reads:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        await asyncio.get_running_loop().sock_connect(made, (HOST, port))
        reader, writer = await asyncio.open_connection(sock=made, limit=_LARGEST_HEAD if reads else _SMALL)
        try:
            yield Connection(reader, writer)
        finally:
            writer.transport.abort()


async def exchanged(port: int, data: bytes, methods: Sequence[str] = ("GET",)) -> list[Answer]:
    """Send bytes on a connection of their own, and return as many responses as there are methods, or fewer."""
    async with connected(port) as connection:
        sending = asyncio.ensure_future(connection.write(data))
        try:
            found = []
            for method in methods:
                answer = await connection.answer(method)
                if answer is None:
                    break
                found.append(answer)
            return found
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


def request(
    method: str,
    path: str | bytes,
    body: bytes | None = None,
    *,
    headers: Iterable[tuple[str, str | bytes]] = (),
    host: str = "localhost",
    closes: bool = True,
) -> bytes:
    """The bytes of a request. Headers are written as they are given, also twice, and with any bytes."""
    target = path if isinstance(path, bytes) else path.encode("utf-8", "surrogatepass")
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: " + host.encode()]
    if closes:
        lines.append(b"Connection: close")
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", str(len(body))))
    for name, value in given:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("utf-8", "replace")))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(parts: Iterable[bytes], *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """A body in chunks."""
    sent = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts if part)
    return sent + b"0\r\n" + trailer + b"\r\n"


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[0], int(first.split(" ")[1])
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        if status >= 200:
            break
    pairs = tuple(
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[:-2])
    )
    found = Answer(status, pairs, b"", head)
    if method == "HEAD" or status in _BODILESS:
        return found
    parts: list[bytes] = []
    whole = await _body(reader, found, parts)
    return Answer(status, pairs, b"".join(parts), head, whole)


async def _body(reader: asyncio.StreamReader, answer: Answer, parts: list[bytes]) -> bool:
    """Read a body into parts; return whether all of it came."""
    try:
        if "chunked" in answer.header("transfer-encoding"):
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                parts.append((await reader.readexactly(size + 2))[:-2])
            await reader.readuntil(b"\r\n")
        elif length := answer.header("content-length"):
            parts.append(await reader.readexactly(int(length)))
        else:
            while data := await reader.read(2**16):
                parts.append(data)
    except asyncio.IncompleteReadError as error:
        parts.append(error.partial)
        return False
    except ConnectionError:
        return False
    return True
