"""Read YAML that people write, strictly: duplicate keys, alias bombs and odd files end in a `ConfigError`.

Every error names the file, and the line and column where there is one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from dgummy.errors import ConfigError

MAX_BYTES = 1_000_000
"""A settings file larger than this is a mistake."""

MAX_NODES = 100_000
"""How many values a text may stand for once its aliases are written out."""

_MERGE_TAG = "tag:yaml.org,2002:merge"

# What PyYAML's own constructors raise for values such as `!!bool maybe` or the date 2020-99-99.
_CONSTRUCT_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def load_file(path: Path, label: str) -> dict[Any, Any] | None:
    """Read the mapping that a file holds; None if there is no such file, {} if it is empty.

    `label` names the file in messages. ConfigError for a folder, an unreadable file, text that is not
    UTF-8, more than `MAX_BYTES`, malformed YAML, a duplicate key, or anything but a mapping.
    """
    text = read_text(path, label)
    return None if text is None else load_mapping(text, label)


def read_text(path: Path, label: str) -> str | None:
    """Read the text of a file; None if there is no such file. ConfigError as for `load_file`."""
    data = _read_bytes(path, label)
    if data is None:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{label}: line {line}: not UTF-8 text", "save the file as UTF-8") from None


def load_mapping(text: str, label: str) -> dict[Any, Any]:
    """Read the mapping that a text holds, {} if it is empty. ConfigError as for `load_file`."""
    value = load_value(text, label)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(
            f"{label}: the top level is {_kind(value)}, not a mapping", "write it as lines of `key: value`"
        )
    return value


def load_value(text: str, label: str) -> Any:
    """Read whatever a YAML text holds.

    ConfigError if it is malformed, has duplicate keys or expands without bound.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, label)
        _check_duplicates(node, label)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _malformed(error, text, label) from None
    except RecursionError:
        raise ConfigError(f"{label}: nested too deeply", "write it flatter; no setting is deeper than 4") from None
    except _CONSTRUCT_ERRORS as error:
        detail = " ".join(str(error).split())[:80]
        raise ConfigError(
            f"{label}: a value cannot be read: {detail}", "put the value in quotes if it is meant as text"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _read_bytes(path: Path, label: str) -> bytes | None:
    try:
        # Not blocking: a named pipe in the file's place must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(error, label) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "is a folder, not a file" if stat.S_ISDIR(mode) else "is not an ordinary file"
        raise ConfigError(f"{label}: {what}", "move it away, or name an ordinary file")
    with open(descriptor, "rb") as file:
        try:
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(error, label) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{label}: larger than 1 MB", "this cannot be a settings file; name another")
    return data


def _unreadable(error: OSError | ValueError, label: str) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"{label}: cannot be read: {reason}", "check its permissions: ls -l shows them")


def _malformed(error: yaml.YAMLError, text: str, label: str) -> ConfigError:
    remedy = "correct that line; indent with spaces, and quote text that holds : # [ ] { } * &"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = error.problem or error.context or "malformed YAML"
        return ConfigError(f"{label}: {where}{_one_line(problem)}", remedy)
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        where = f"line {before.count(chr(10)) + 1}, column {column}"
        return ConfigError(f"{label}: {where}: a control character", "delete it; settings are plain text")
    return ConfigError(f"{label}: {_one_line(str(error))}", remedy)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200]


def _check_size(root: yaml.Node, label: str) -> None:
    """Refuse aliases that contain themselves, or that write out to more than `MAX_NODES` values."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size_of(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            line = node.start_mark.line + 1
            raise ConfigError(f"{label}: line {line}: an alias contains itself", "write the value out instead")
        open_nodes.add(id(node))
        total = 1 + sum(size_of(child) for child in _children(node))
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    if size_of(root) > MAX_NODES:
        raise ConfigError(
            f"{label}: holds more than {MAX_NODES:,} values",
            "use fewer aliases (&name, *name), or write less",
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return []


def _check_duplicates(root: yaml.Node, label: str) -> None:
    """Refuse a key that is there twice in one mapping: YAML itself would silently take the last."""
    done: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in done:
            continue
        done.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check_mapping(node, label)
        waiting.extend(_children(node))


def _check_mapping(node: yaml.MappingNode, label: str) -> None:
    first_lines: dict[tuple[str, str], int] = {}
    for key, _value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
            continue
        identity = (key.tag, key.value)
        line = key.start_mark.line + 1
        if identity in first_lines:
            raise ConfigError(
                f"{label}: line {line}, column {key.start_mark.column + 1}: "
                f"the key {_shown(key.value)} is there twice, first in line {first_lines[identity]}",
                "keep one of the two",
            )
        first_lines[identity] = line


def _shown(text: str) -> str:
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return f"{clean[:60]}…" if len(clean) > 60 else clean


def _kind(value: object) -> str:
    return {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}.get(
        type(value), f"a {type(value).__name__}"
    )
