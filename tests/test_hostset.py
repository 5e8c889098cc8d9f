"""Host sets: writing out, folding, checking names, near misses."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.hostset import MAX_HOSTS, check_name, expand, fold, natural_key, suggest

EXPANDED = [
    ("node-1", ["node-1"]),
    ("node-[1-4,7]", ["node-1", "node-2", "node-3", "node-4", "node-7"]),
    ("node-[08-11]", ["node-08", "node-09", "node-10", "node-11"]),
    ("n[098-101]", ["n098", "n099", "n100", "n101"]),
    ("n[8-11]", ["n8", "n9", "n10", "n11"]),
    ("n[0-1]", ["n0", "n1"]),
    ("n[00]", ["n00"]),
    ("a, b ,c[1,3].lan", ["a", "b", "c1.lan", "c3.lan"]),
    ("r[1-2]n[01-02]x", ["r1n01x", "r1n02x", "r2n01x", "r2n02x"]),
    ("n[1-3],n2", ["n1", "n2", "n3"]),
    ("[1-2]", ["1", "2"]),
    ("n[ 1 , 3 ]", ["n1", "n3"]),
    ("", []),
    ("  ", []),
]

REFUSED = [
    ("n[1", "brackets"),
    ("n1]", "brackets"),
    ("n[[1]]", "brackets"),
    ("]n[", "brackets"),
    ("n[]", "not a number"),
    ("n[a-b]", "not a number"),
    ("n[1-]", "not a number"),
    ("n[-1]", "not a number"),
    ("n[1-2-3]", "not a number"),
    ("n[١-٣]", "not a number"),
    ("n[4-1]", "backwards"),
    ("n[1-010]", "different widths"),
    ("a,,b", "nothing between"),
    ("a,", "nothing between"),
    ("n[1-10001]", "10,001 hosts"),
    ("n[1-999999999999999999]", "more than 10,000"),
    ("n[1-101][1-100]", "more than 10,000"),
    ("a[1-6000],b[1-6000]", "more than 10,000"),
    ("n[1-" + "9" * 5000 + "]", "not a number"),
]

FOLDED = [
    ([], ""),
    (["node-1"], "node-1"),
    (["node-7", "node-2", "node-1", "node-3", "node-4", "node-2"], "node-[1-4,7]"),
    (["n9", "n10", "n11"], "n[9-11]"),
    (["n09", "n10", "n11"], "n[09-11]"),
    (["n9", "n09", "n10"], "n[9,09-10]"),
    (["n99", "n100", "n098"], "n[098,99-100]"),
    (["db", "web-2", "web-1", "app"], "app,db,web-[1-2]"),
    (["r1n1", "r1n2", "r2n1", "r2n2"], "r1n[1-2],r2n[1-2]"),
    (["n1.lan", "n2.lan", "n3"], "n[1-2].lan,n3"),
    (["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
    (["a10", "a2", "b1"], "a[2,10],b1"),
    (["n[1]", "x"], "n[1],x"),
    (["n" + "1" * 30, "n" + "1" * 29 + "2"], "n" + "1" * 30 + ",n" + "1" * 29 + "2"),
]


@pytest.mark.parametrize(("text", "names"), EXPANDED)
def test_expand(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(("text", "told"), REFUSED, ids=[told + str(i) for i, (_, told) in enumerate(REFUSED)])
def test_expand_refuses(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        expand(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_expand_takes_as_many_as_it_says_and_refuses_more_at_once() -> None:
    assert len(expand(f"n[1-{MAX_HOSTS}]")) == MAX_HOSTS
    start = time.perf_counter()
    for text in ("n" + "[1-10]" * 40, "x," * MAX_HOSTS + "n[1-9999999]"):
        with pytest.raises(ValueError, match="more than"):
            expand(text)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(("names", "text"), FOLDED)
def test_fold(names: list[str], text: str) -> None:
    assert fold(names) == text


LABEL = st.from_regex(r"[a-z0-9.-]{0,4}", fullmatch=True)
NAME = st.builds(
    lambda a, n, b, m: f"{a}{n}{b}{m}",
    st.sampled_from(["node-", "n", "", "rack1-n"]),
    st.from_regex(r"[0-9]{1,3}", fullmatch=True),
    st.sampled_from(["", "-", ".lan", "x"]),
    st.sampled_from(["", "0", "1", "01", "9", "10"]),
)


@given(st.lists(st.one_of(NAME, LABEL.filter(bool)), max_size=60))
def test_expanding_what_was_folded_gives_the_same_names(names: list[str]) -> None:
    assert set(expand(fold(names))) == set(names)


@given(st.sets(st.integers(0, 300)), st.integers(0, 4))
def test_numbers_fold_into_one_pattern(numbers: set[int], width: int) -> None:
    names = [f"n{str(number).zfill(width)}" for number in numbers]
    folded = fold(names)
    assert expand(folded) == sorted(names, key=natural_key)
    assert len(folded) <= sum(map(len, names)) + len(names) + 2


@given(st.text(alphabet="n1[]-, 0", max_size=30))
def test_expand_never_fails_but_by_value_error(text: str) -> None:
    try:
        names = expand(text)
    except ValueError:
        return
    assert len(names) == len(set(names))
    assert not any("[" in name or "]" in name or "," in name for name in names)


def test_natural_order() -> None:
    assert sorted(["n10", "n2", "n1", "m3", "n02", "n", "1"], key=natural_key) == [
        "1",
        "m3",
        "n",
        "n1",
        "n02",
        "n2",
        "n10",
    ]


@pytest.mark.parametrize(
    "name", ["node-1", "user@node-1", "fe80::1%eth0", "host.tail-scale.ts.net", "größe", "a" * 255]
)
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "empty"),
        ("-oProxyCommand=x", "dash"),
        ("a b", "blank"),
        ("a\tb", "blank"),
        ("a\n", "blank"),
        ("a\x1b[31m", "control"),
        ("a\x00", "control"),
        ("a\u202eb", "control"),
        ("a\u00a0b", "blank"),
        ("a/b", "slash"),
        ("a" * 256, "longer"),
    ],
)
def test_bad_names_are_refused(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        check_name(name)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("node1", "node-1"),
        ("noed-2", "node-2"),
        ("NODE-2", "node-2"),
        ("mac-studio", "Mac-Studio"),
        ("zebra", None),
        ("", None),
    ],
)
def test_suggest(name: str, meant: str | None) -> None:
    assert suggest(name, ["node-1", "node-2", "Mac-Studio", "build"]) == meant
    assert suggest(name, []) is None
