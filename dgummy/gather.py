"""Equal outputs of many hosts, shown once: digests, groups, and how a group differs from the largest. Pure.

Outputs stay where they were spooled: a `Digester` sees each chunk once, and what a group said is read again, as far as
it is needed, through the reader of one of its hosts. As `clush -b` and `clush --diff` do it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dgummy.hostset import fold, natural_key

TAIL_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_DIFF_LINES = 2000
MAX_DIFF_BYTES = 256 * 1024
LF = "\n"

ReadStream: TypeAlias = Callable[[], Iterable[bytes]]
"""Gives the chunks of one stream from its beginning, each time that it is called."""


class Digester:
    """Digests a run's streams ("out", "err") chunk by chunk; holds their last `tail_bytes` and nothing else.

    How the two interleave does not matter: hosts that said the same have the same key.
    """

    def __init__(self, tail_bytes: int = TAIL_BYTES) -> None:
        self._hashes = {stream: hashlib.blake2b(digest_size=16) for stream in ("out", "err")}
        self._tail_bytes = tail_bytes
        self._tail = bytearray()
        self.size_bytes = 0

    def feed(self, data: bytes, stream: str = "out") -> None:
        """Take the next chunk of a stream."""
        self._hashes[stream].update(data)
        self.size_bytes += len(data)
        self._tail += data[-self._tail_bytes :]
        if len(self._tail) > self._tail_bytes * 5 // 4:
            del self._tail[: -self._tail_bytes]

    @property
    def key(self) -> str:
        """What equal outputs have in common."""
        return "".join(digest.hexdigest() for digest in self._hashes.values())

    def tail(self) -> bytes:
        """The last bytes, in the order in which they came."""
        return bytes(self._tail[-self._tail_bytes :])


@dataclass(frozen=True, slots=True)
class HostOutput:
    """What one host said: its digest, and how to read its streams again, stdout first.

    `exit_code` is None for a command that has none (it timed out, say).
    """

    host: str
    key: str
    size_bytes: int
    streams: tuple[ReadStream, ...]
    exit_code: int | None = 0

    @classmethod
    def of_bytes(cls, host: str, out: bytes, err: bytes = b"", exit_code: int | None = 0) -> HostOutput:
        """An output that is in memory."""
        digester = Digester(tail_bytes=1)
        digester.feed(out, "out")
        digester.feed(err, "err")
        streams = (lambda: (out,), lambda: (err,))
        return cls(host, digester.key, digester.size_bytes, streams, exit_code)

    def lines(self) -> Iterator[bytes]:
        """Its lines with their ends, stdout before stderr. Lines longer than MAX_LINE_BYTES come in pieces."""
        for read in self.streams:
            yield from _lines(read())


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts, in natural order, with equal outputs, of which `sample` is the first's.

    `folded` is `node-[1-4,7]`. `exit_codes` are those other than 0, each with its hosts, folded.
    """

    hosts: tuple[str, ...]
    folded: str
    sample: HostOutput
    exit_codes: tuple[tuple[int | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """How a group's output differs from the largest group's: a unified diff, without its two header lines.

    Lines are text with undecodable bytes as surrogates. `compared_lines` is how many lines of each were compared at
    most, None if all of both were.
    """

    majority: Group
    minority: Group
    lines: tuple[str, ...]
    compared_lines: int | None = None


def gather(outputs: Iterable[HostOutput]) -> tuple[Group, ...]:
    """Group equal outputs, each host given once: the largest group first, then by the first host's name."""
    by_key: defaultdict[str, list[HostOutput]] = defaultdict(list)
    for output in outputs:
        by_key[output.key].append(output)
    groups = [_group(members) for members in by_key.values()]
    return tuple(sorted(groups, key=lambda group: (-len(group.hosts), natural_key(group.hosts[0]))))


def diffs(groups: Sequence[Group], max_lines: int = MAX_DIFF_LINES, max_bytes: int = MAX_DIFF_BYTES) -> Iterator[Diff]:
    """Compare each group with the first, one by one. At most that many lines and bytes of each are read."""
    if len(groups) < 2:
        return
    majority, *others = groups
    old, old_whole = _head(majority.sample, max_lines, max_bytes)
    for minority in others:
        new, new_whole = _head(minority.sample, max_lines, max_bytes)
        cut = None if old_whole and new_whole else max(len(old), len(new))
        yield Diff(majority, minority, tuple(_unified(old, new)), cut)


def _group(members: Iterable[HostOutput]) -> Group:
    ordered = sorted(members, key=lambda output: natural_key(output.host))
    by_code: defaultdict[int | None, list[str]] = defaultdict(list)
    for output in ordered:
        if output.exit_code != 0:
            by_code[output.exit_code].append(output.host)
    hosts = tuple(output.host for output in ordered)
    return Group(hosts, fold(hosts), ordered[0], tuple((code, fold(names)) for code, names in by_code.items()))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, as LF alone divides them; overlong ones in pieces."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield from _pieces(line + b"\n")
        *begun, rest = _pieces(rest)
        yield from begun
    if rest:
        yield rest


def _pieces(line: bytes) -> Iterator[bytes]:
    """At most MAX_LINE_BYTES each, cut before a byte that does not continue a UTF-8 character."""
    start = 0
    while len(line) - start > MAX_LINE_BYTES:
        end = start + MAX_LINE_BYTES
        end = next((at for at in range(end, end - 4, -1) if line[at] & 0xC0 != 0x80), end)
        yield line[start:end]
        start = end
    yield line[start:]


def _head(output: HostOutput, max_lines: int, max_bytes: int) -> tuple[list[str], bool]:
    """The first lines, and whether they are all. All have an end, but for the last one of a whole output."""
    lines: list[str] = []
    left, whole = max_bytes, True
    for line in output.lines():
        if len(lines) == max_lines or left <= 0:
            whole = False
            break
        lines.append(line[:left].decode("utf-8", "surrogateescape"))
        left -= len(line)
    whole = whole and left >= 0
    ended = [f"{line.removesuffix(LF)}{LF}" for line in lines]
    return (ended[:-1] + lines[-1:] if whole else ended), whole


def _unified(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Lines of a unified diff, without their ends; what has no newline at its end is followed by a remark on it."""
    for number, line in enumerate(difflib.unified_diff(old, new)):
        if number < 2:
            continue  # the names of the two are the renderer's
        yield line.removesuffix(LF)
        if not line.endswith(LF):
            yield r"\ no newline at the end"
