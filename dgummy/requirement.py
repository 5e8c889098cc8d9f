"""What a piece of work needs of a host: parse `--require` terms and hold them against a host. Pure.

What is declared for a host wins over what a probe found. Names with a meaning of their own are `os`,
`arch`, `cores`, `mem` (memory in all) and `disk` (free at home); any other name is a tool or capability.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from dgummy.model import Host, Requirement, Sample
from dgummy.units import format_bytes

_TERM = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9_.+-]*)\s*(?:(>=|<=|!=|==|=|<|>)\s*(\S(?:.*\S)?)?\s*)?")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp])(i?)b?|b)?", re.IGNORECASE)
_MAX_LENGTH = 200

_NAME_ALIASES = {"memory": "mem", "ram": "mem", "cpus": "cores"}
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "macos": "darwin"}
_VALUE_ALIASES = {
    "os": {"macos": "darwin", "mac": "darwin", "osx": "darwin", "mac os x": "darwin"},
    "arch": {"aarch64": "arm64", "amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64"},
}
_NUMBERS = frozenset({"cores", "mem", "disk"})
_WORDS = frozenset({"os", "arch"})
_NO = frozenset({"", "false", "no", "off", "0", "none"})
_EXAMPLES = "docker, os=darwin, arch=arm64, cores>=8, mem>=16GB"

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda has, wanted: has == wanted,
    "!=": lambda has, wanted: has != wanted,
    "<": lambda has, wanted: has < wanted,
    "<=": lambda has, wanted: has <= wanted,
    ">": lambda has, wanted: has > wanted,
    ">=": lambda has, wanted: has >= wanted,
}


def parse_size(text: str) -> float:
    """Read a number of bytes: `16GB`, `16 GiB`, `512M`, a bare number. ValueError if it is none.

    K, M, G, T and P are powers of 1000, with an i (KiB, MiB, …) powers of 1024; case does not matter.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number or a size; write 8, 16GB or 512MiB")
    number, unit, binary = match.groups()
    exponent = "kmgtp".index(unit.lower()) + 1 if unit else 0
    return float(number) * float((1024 if binary else 1000) ** exponent)


def parse_requirement(text: str) -> Requirement:
    """Read a `--require` term: `docker`, `os=darwin`, `cores>=8`. ValueError with one line if it is none.

    `macos` alone is short for `os=darwin`, and so are `linux` and `darwin`.
    """
    match = _TERM.fullmatch(text) if len(text) <= _MAX_LENGTH and text.isprintable() else None
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a requirement; write {_EXAMPLES}")
    name, op, value = match.group(1), match.group(2), match.group(3)
    name = _NAME_ALIASES.get(name.lower(), name.lower() if name.lower() in _NUMBERS | _WORDS else name)
    if op is None:
        return _bare(name)
    if value is None:
        raise ValueError(f"{text.strip()!r} says no value; write {_EXAMPLES}")
    if name in _WORDS and op not in ("=", "==", "!="):
        raise ValueError(f"{text.strip()!r}: {name} can only be compared with = or !=")
    if name in _NUMBERS or op in ("<", "<=", ">", ">="):
        parse_size(value)
    return Requirement(name, "=" if op == "==" else op, value)


def meets(host: Host, sample: Sample | None, requirement: Requirement) -> bool:
    """Whether the host has what is required. What is not known is not there."""
    has = what_it_has(host, sample, requirement.name)
    if requirement.op == "has":
        return has is not None and has.lower() not in _NO
    if has is None:
        return False
    if requirement.name in _NUMBERS or requirement.op in ("<", "<=", ">", ">="):
        try:
            return _COMPARE[requirement.op](parse_size(has), parse_size(requirement.value))
        except ValueError:
            return False
    same = _normal(requirement.name, has) == _normal(requirement.name, requirement.value)
    return same is (requirement.op == "=")


def what_it_has(host: Host, sample: Sample | None, name: str) -> str | None:
    """Tell what the host has by that name, declared or else probed, as text; None if nothing is known."""
    declared = host.declared.get(name)
    if declared is not None:
        return str(declared)
    if sample is None:
        return None
    if name in _WORDS:
        return (sample.os if name == "os" else sample.arch) or None
    if name in _NUMBERS:
        number = {"cores": sample.cores, "mem": sample.mem_total_bytes, "disk": sample.disk_free_bytes}[name]
        return None if number is None else f"{number:.12g}"
    return "true" if name in sample.tools else None


def shortfall(host: Host, sample: Sample | None, requirement: Requirement) -> str:
    """Tell what is missing: `docker`, `os=darwin (it is linux)`, `mem>=16GB (it has 8.0 GB)`."""
    has = what_it_has(host, sample, requirement.name)
    if requirement.op == "has" and (has is not None or sample is not None):
        return str(requirement)
    if has is None:
        return f"{requirement} (not known)"
    if requirement.name in _WORDS:
        return f"{requirement} (it is {_normal(requirement.name, has)})"
    return f"{requirement} (it has {_shown(requirement.name, has)})"


def _bare(name: str) -> Requirement:
    """Read a term without a comparison."""
    if name.lower() in _SYSTEMS:
        return Requirement("os", "=", _SYSTEMS[name.lower()])
    if name in _NUMBERS:
        raise ValueError(f"{name!r} does not say how much; write {name}>=8" + ("" if name == "cores" else "GB"))
    if name in _WORDS:
        raise ValueError(f"{name!r} does not say which; write os=linux or arch=arm64")
    return Requirement(name)


def _normal(name: str, value: str) -> str:
    """Put a value in the spelling that values of that name are compared in."""
    lowered = value.strip().casefold()
    return _VALUE_ALIASES.get(name, {}).get(lowered, lowered)


def _shown(name: str, has: str) -> str:
    """Write a figure for people."""
    if name not in ("mem", "disk"):
        return has
    try:
        return format_bytes(int(parse_size(has)))
    except ValueError:
        return has
