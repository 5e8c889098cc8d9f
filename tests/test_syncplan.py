"""The plan of a sync and the manifest: tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.syncplan import (
    Listing,
    decode_manifest,
    encode_manifest,
    is_safe_name,
    manifest_id,
    plan,
    top_level,
)

parts = st.binary(min_size=1, max_size=12).filter(
    lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b"..")
)
names = st.lists(parts, min_size=1, max_size=4).map(b"/".join)
sets = st.frozensets(names, max_size=12)


def listing(*paths: bytes, **more: object) -> Listing:
    return Listing(paths=tuple(sorted(paths)), sizes_bytes=(1,) * len(paths), **more)  # type: ignore[arg-type]


@given(sets)
def test_a_manifest_gives_back_the_names_whatever_they_are(paths: frozenset[bytes]) -> None:
    assert decode_manifest(encode_manifest(paths)) == paths


@given(sets)
def test_a_manifest_has_one_line_for_each_name(paths: frozenset[bytes]) -> None:
    assert encode_manifest(paths).count("\n") == len(paths)


@given(sets, sets)
def test_ids_are_equal_only_for_equal_sets(one: frozenset[bytes], other: frozenset[bytes]) -> None:
    assert (manifest_id(one) == manifest_id(other)) == (one == other)


@given(sets, sets)
def test_what_is_gone_and_what_goes_account_for_everything(old: frozenset[bytes], new: frozenset[bytes]) -> None:
    made = plan(listing(*new), old)
    assert set(made.gone) == old - new
    assert set(made.files) == new
    depths = [path.count(b"/") for path in made.gone]
    assert depths == sorted(depths, reverse=True)
    assert decode_manifest(made.interim_manifest(old)) == old | new
    assert made.manifest_id == manifest_id(new)


def test_what_agents_remember_is_never_deleted_though_it_was_sent_once() -> None:
    """Such a name stands for what a host has learned since."""
    sent = frozenset((b"a", b".gummy/specialists/x/meta.yaml", b"sub/.gummy/moved/y/z", b".gummy/lib/core.sh"))
    made = plan(listing(), sent)
    assert set(made.gone) == {b"a", b".gummy/lib/core.sh"}
    assert decode_manifest(made.manifest()) == frozenset()


def test_nothing_is_deleted_when_it_is_not_known_what_was_sent() -> None:
    made = plan(listing(b"a"), None)
    assert made.gone == ()
    assert decode_manifest(made.interim_manifest(None)) == {b"a"}


@pytest.mark.parametrize(
    "text", ["/etc/passwd\n", "../up\n", "a/../../b\n", "a//b\n", "./a\n", "a/\n", "..\n", "a\0b\n"]
)
def test_a_manifest_from_a_host_cannot_name_what_is_outside(text: str) -> None:
    assert decode_manifest(text + "fine\n") == {b"fine"}


def test_escapes_are_not_taken_for_newlines() -> None:
    tricky = frozenset({b"a%0Ab", b"a\nb", b"a%250Ab", b"100%"})
    assert decode_manifest(encode_manifest(tricky)) == tricky
    assert encode_manifest([b"a\nb%"]) == "a%0Ab%25\n"


@given(names)
def test_honest_names_are_safe(name: bytes) -> None:
    assert is_safe_name(name)


def test_totals_and_excluded_are_passed_on() -> None:
    made = plan(Listing((b"a", b"b/c"), (3, 4), ("node_modules", ".git")), frozenset())
    assert (made.total_files, made.total_bytes, made.excluded) == (2, 7, ("node_modules", ".git"))


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ([b"package.json", b"src/a", b"src/b/c", b"components/x"], ("components/", "src/", "package.json")),
        ([b".env", b".github/x", b"a"], ("a", ".github/", ".env")),
        ([b"%02d" % n for n in range(20)], ("00", "01", "02", "03", "04", "05", "06", "07", "+12 more")),
        ([b"%02d" % n for n in range(8)], ("00", "01", "02", "03", "04", "05", "06", "07")),
        ([b"\xff/a"], ("�/",)),
        ([], ()),
    ],
)
def test_top_level_names(paths: list[bytes], shown: tuple[str, ...]) -> None:
    assert top_level(paths) == shown
