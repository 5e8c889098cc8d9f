"""The picture of the watch: panels, totals, widths in terminal cells, folding, scrolling, hostile texts."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from cluster_views import NOW, SAMPLE, TIMED_OUT, seed, specialist
from dgummy.render.cells import Span, ascii_wanted, cut, cut_line, fill, head, legible, line_width
from dgummy.render.dashboard import Look, draw, frame, run_ids
from dgummy.render.text import clean
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, Specialist, SpecialistState

SGR = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = [
    "\x1b[2J\x1b]0;title\x07evil",
    "two\nlines\r\x08\x08",
    "数据库专家" * 20,
    "e\u0301" * 60 + "\u0301" * 500,
    "◼\ufe0f⚡\ufe0f👩\u200d💻🇩🇪",
    "\u202ertl\u2066\u00ad\U000e0041",
    "half\ud800surrogate\udc80",
    "\u1100\u1161\u11a8",
    "",
]


def one_host(**fields: object) -> ClusterView:
    return ClusterView(NOW, (msgspec.structs.replace(HostView("node-1", NOW, sample=SAMPLE), **fields),))


def text(view: ClusterView, width: int = 80, **look: object) -> str:
    return "\n".join(frame(view, Look(width, **look)))  # type: ignore[arg-type]


def test_the_dashboard_of_the_design_document() -> None:
    shown = text(seed())
    assert "║ DISTRIBUTED SPECIALIST DASHBOARD " in shown
    assert re.search(r"│ ⚡ database-expert · \S+ +active +Sessions: 8 +abc12345 +Cost: \$0\.02 +│", shown)
    assert re.search(r"│ 💤 testing-specialist +dormant +Sessions: 3 +abc12345 +Cost: \$0\.01 +│", shown)
    assert re.search(r"│ ⚡ gummy-1772366100 · \S+ +active +1 m 15 s +cost \? +│\n│    └ Reading +│", shown)
    assert re.search(r"│ ▶  make test +running +1 m 02 s +k3f9ab +me@laptop +│\n│    └ tests/a\.py \.\.\.\.F +│", shown)
    assert re.search(r"│ CPU ██░+  15%   MEM █+░  91%   I/O █+░+  45% +│", shown)
    assert "┌─ node-1 · ✓ up ─" in shown
    assert "─ $0.03 today · 2 s ago ─┐" in shown
    assert "Total: 4 active specialists across 2 hosts · 2 not answering · 1 being asked" in shown
    assert "Total cost today: ≥$0.08 · 1 command running" in shown


def test_all_there_and_up_is_said_in_the_words_of_the_design_document() -> None:
    hosts = tuple(
        HostView(
            f"node-{n}", NOW, sample=SAMPLE, specialists=(specialist("a", "active", 1, 0.02),), cost_today_usd=0.02
        )
        for n in (1, 2, 3)
    )
    shown = frame(ClusterView(NOW, hosts), Look(80))
    assert shown[-2:] == ["Total: 3 active specialists across 3 hosts", "Total cost today: $0.06"]
    assert frame(ClusterView(NOW, hosts[:1]), Look(80))[-2] == "Total: 1 active specialist across 1 host"


def test_a_host_that_does_not_answer_keeps_its_last_values_and_says_why() -> None:
    shown = text(seed())
    panel = shown[shown.index("node-3") : shown.index("node-4")]
    assert "! stale" in panel
    assert "1 m 30 s ago" in panel
    assert "timed out: no answer in 5 s" in panel
    assert "look whether node-3 is up" in panel
    assert "security-specialist" in panel
    assert "15%" in panel
    assert "✗ no answer" in shown[shown.index("node-4") :]
    assert "asking" in shown[shown.index("node-5") :]


def test_a_slow_host_is_stale_without_a_failure() -> None:
    assert "the newest look is not answered yet" in text(one_host(taken_at=NOW - timedelta(seconds=60)))
    assert "! stale" not in text(one_host(taken_at=NOW - timedelta(seconds=1)))


@pytest.mark.parametrize(
    ("fields", "host_says", "total"),
    [
        ({"cost_today_usd": None}, "cost ? today", "Total cost today: cost ?"),
        ({"cost_today_usd": 0.5, "cost_complete": False}, "≥$0.50 today", "Total cost today: ≥$0.50"),
        ({"cost_today_usd": 0.001}, "<$0.01 today", "Total cost today: <$0.01"),
        ({"cost_today_usd": 1234.5}, "$1,234.50 today", "Total cost today: $1,234.50"),
        ({"cost_today_usd": 0.5, "failure": TIMED_OUT}, "$0.50 today", "Total cost today: ≥$0.50"),
        ({"cost_today_usd": 0.0}, "┌─ node-1 · ✓ up ─", "Total cost today: $0.00"),
    ],
)
def test_costs(fields: dict[str, object], host_says: str, total: str) -> None:
    shown = text(one_host(**fields))
    assert host_says in shown
    assert shown.splitlines()[-1] == total


def test_an_unknown_cost_is_never_nothing() -> None:
    shown = text(one_host(specialists=(specialist("a", "active", 1, None),), cost_complete=False))
    assert "cost ?" in shown
    assert "$0.00" not in shown


@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_state_has_a_sign_and_a_word_of_its_own(ascii_only: bool) -> None:
    states = tuple(Specialist("x", "global", "", state, 1, reason="why") for state in SpecialistState)
    found = [line for line in frame(one_host(specialists=states), Look(100, ascii_only=ascii_only)) if " x " in line]
    assert len(found) == len(states)
    assert len({line.split()[1] for line in found}) == len(states)
    assert all(state.value in line for state, line in zip(SpecialistState, found, strict=True))


def test_a_failed_and_an_unreadable_specialist_say_why() -> None:
    shown = text(
        one_host(
            specialists=(
                Specialist("a", "global", status=SpecialistState.FAILED, reason="rate limit"),
                Specialist("b", "global", status=SpecialistState.UNREADABLE, reason="100 MB"),
            )
        )
    )
    assert "└ rate limit" in shown
    assert "unreadable: 100 MB" in shown


def test_a_failed_task_shows_its_last_line_and_a_done_one_does_not() -> None:
    tasks = tuple(
        AgentTask(f"gummy-{state.value}", "task", state, NOW.timestamp() - 90, last_line=f"said {state.value}")
        for state in (SpecialistState.FAILED, SpecialistState.DORMANT)
    )
    shown = text(one_host(tasks=tasks), 100)
    assert "└ said failed" in shown
    assert "said dormant" not in shown
    assert " done " in shown


def test_colours_only_repeat_what_is_said() -> None:
    coloured = frame(seed(), Look(80, 24, colour=True))
    assert "\x1b[32m" in "".join(coloured)
    assert [SGR.sub("", line).rstrip() for line in coloured] == frame(seed(), Look(80, 24))
    assert "\x1b" not in text(seed())


def test_plain_ascii() -> None:
    view = one_host(host="knoten-ä", specialists=(specialist("数据e\u0301", "active", 1, 0.02),), cost_complete=False)
    shown = text(view, ascii_only=True)
    assert shown.isascii()
    assert "+- knoten-? | + up ---" in shown
    assert "*  ??? " in shown
    assert text(seed(), 200, height=50, ascii_only=True, help=True).isascii()


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 10, 40, 80, 100, 141, 200, 300])
@pytest.mark.parametrize("height", [None, 1, 4, 10, 24, 50])
def test_nothing_is_wider_or_higher_than_the_screen(width: int, height: int | None) -> None:
    lines = frame(seed(), Look(width, height))
    assert max(map(cell_len, lines)) <= width
    assert height is None or len(lines) == height


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_hostile_texts_stay_in_their_cells(hostile: str, width: int) -> None:
    view = one_host(
        host=hostile,
        specialists=(Specialist(hostile, "global", hostile, SpecialistState.ACTIVE, 1, hostile, hostile, 0.1),),
        tasks=(AgentTask(hostile, hostile, SpecialistState.ACTIVE, 0.0, hostile, None, hostile),),
        runs=(RunningCommand(hostile, 1.0, hostile, hostile, hostile, True, hostile),),
        notices=(hostile,),
    )
    lines = frame(view, Look(width))
    boxes = [line for line in lines if line.startswith(("│", "┌", "└", "║"))]
    assert {cell_len(line) for line in boxes} == {width}
    assert all(line.isprintable() for line in lines)
    assert all(line.endswith(("│", "┐", "┘", "║")) for line in boxes)


def test_a_wide_screen_has_panels_of_one_height_side_by_side() -> None:
    lines = frame(seed(), Look(200))
    assert sum("node-1" in line and "node-2" in line for line in lines) == 1
    tops = [line for line in lines if line.startswith("┌")]
    bottoms = [line for line in lines if line.startswith("└")]
    assert [line.count("┌") for line in tops] == [2, 2, 1]
    assert [line.count("└") for line in bottoms] == [2, 2, 1]
    assert {cell_len(line) for line in lines if line.startswith("│")} <= {199, 200, 99, 98}


def test_a_narrow_screen_keeps_names_and_costs() -> None:
    shown = text(seed(), 40)
    assert re.search(r"│ 💤 testing-specialist +Cost: \$0\.01 +│", shown)
    assert re.search(r"│ ▶  make test +1 m 02 s +│", shown)
    assert "MEM" in shown


def crowded(count: int, hosts: int = 1) -> ClusterView:
    runs = tuple(RunningCommand(f"20260301-115800-run{n:03}", 5.0, f"job {n}") for n in range(count))
    many = tuple(specialist(f"expert-{n:02}", "active", n, 0.01) for n in range(count))
    return ClusterView(
        NOW, tuple(HostView(f"node-{n}", NOW, sample=SAMPLE, specialists=many, runs=runs) for n in range(hosts))
    )


def test_long_lists_fold_with_a_count() -> None:
    picture = draw(crowded(10), Look(80, 24))
    shown = "\n".join(picture.lines)
    assert "+ 4 more specialists" in shown
    assert "+ 4 more commands" in shown
    assert picture.last_scroll == 0
    assert "more specialists" not in text(crowded(10))
    assert "more" not in text(crowded(4), height=24)


def test_what_one_would_fold_alone_stays() -> None:
    assert "+ 1 more" not in text(crowded(9), height=24)


def test_unfolded_lists_scroll_by_lines() -> None:
    view = crowded(30)
    top = draw(view, Look(80, 24, unfold=True))
    assert "1-20 of 63" in top.lines[-1]
    assert top.last_scroll == 43
    moved = draw(view, Look(80, 24, unfold=True, scroll=1))
    assert moved.lines[1:20] == top.lines[2:21]
    end = draw(view, Look(80, 24, unfold=True, scroll=1000))
    assert end.scroll == 43
    assert end.lines[20].startswith("└")
    assert "44-63 of 63" in end.lines[-1]


def test_the_selected_run_is_marked_and_brought_into_sight() -> None:
    view = crowded(6, hosts=5)
    wanted = "20260301-115800-run004"
    view = msgspec.structs.replace(
        view,
        hosts=(*view.hosts[:-1], msgspec.structs.replace(view.hosts[-1], runs=(RunningCommand(wanted, 1.0, "me"),))),
    )
    hidden = draw(view, Look(80, 24, selected=wanted))
    assert not any("│>" in line and "me" in line for line in hidden.lines)
    found = draw(view, Look(80, 24, selected=wanted, reveal=True))
    assert any(re.match(r"│>▶  me ", line) for line in found.lines)
    assert max(map(cell_len, found.lines)) <= 80


def test_a_folded_run_is_shown_while_it_is_selected() -> None:
    look = Look(80, 24, selected="20260301-115800-run009", reveal=True)
    assert "│>▶  job 9" in "\n".join(draw(crowded(10), look).lines)


# -- what is chosen ---------------------------------------------------------------------------------------------------


def test_a_filter_leaves_out_hosts_but_the_totals_are_of_all() -> None:
    shown = text(seed(), filter_text="API")
    assert "api-developer" in shown
    assert "database-expert" not in shown
    assert "+ 4 hosts without a match" in shown
    assert "filter: API" in shown
    assert "Total: 4 active specialists" in shown
    assert "security-specialist" in text(seed(), filter_text="node-3")


def test_the_order_is_what_was_chosen_also_for_keys() -> None:
    view = crowded(1, hosts=2)
    busier = msgspec.structs.replace(view.hosts[1], sample=msgspec.structs.replace(SAMPLE, cpu_pct=99.0))
    renamed = msgspec.structs.replace(busier, runs=(RunningCommand("second", 1.0),))
    view = msgspec.structs.replace(view, hosts=(view.hosts[0], renamed))
    assert text(view).index("node-0") < text(view).index("node-1")
    assert text(view, sort="load").index("node-1") < text(view, sort="load").index("node-0")
    assert run_ids(view, Look(80, sort="load"))[0] == "second"
    assert run_ids(view, Look(80))[-1] == "second"


def test_what_is_going_on_is_said() -> None:
    assert "PAUSED" in text(seed(), height=24, paused=True)
    assert "p go on" in text(seed(), height=24, paused=True)
    assert "sorted by cost" in text(seed(), sort="cost")
    assert "filter: ab_" in text(seed(), height=24, typing=True, filter_text="ab")
    assert "nothing runs" in text(seed(), height=24, message="nothing runs")
    assert "q, Ctrl-C" in text(seed(), height=24, help=True)
    assert "no hosts" in text(ClusterView(NOW, ()))


# -- whatever there is ------------------------------------------------------------------------------------------------

names = st.text(max_size=30) | st.sampled_from(HOSTILE)
figures = st.none() | st.floats(-10, 1e4)
specialists = st.builds(
    Specialist,
    names,
    st.just("global"),
    names,
    st.sampled_from(SpecialistState),
    st.none() | st.integers(0, 10**9),
    st.none() | names,
    st.none() | names | st.just("9999-12-31T23:59:59Z"),
    figures,
    names,
)
tasks = st.builds(AgentTask, names, names, st.sampled_from(SpecialistState), st.floats(0, 4e9), names, figures, names)
runs = st.builds(RunningCommand, names, st.floats(0, 1e8), names, names, names, st.booleans(), names)
hosts = st.builds(
    HostView,
    names,
    st.none() | st.just(NOW) | st.just(NOW - timedelta(days=3)),
    st.none() | st.just(TIMED_OUT),
    st.none() | st.just(SAMPLE),
    st.lists(specialists, max_size=6).map(tuple),
    st.lists(tasks, max_size=3).map(tuple),
    st.lists(runs, max_size=5).map(tuple),
    figures,
    st.booleans(),
    st.lists(names, max_size=4).map(tuple),
)
looks = st.builds(
    Look,
    st.integers(1, 320),
    st.none() | st.integers(1, 60),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "name", "active", "cost", "load"]),
    st.booleans(),
    st.just("") | names,
    st.booleans(),
    st.integers(0, 100),
    names,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.just("") | st.just("a message"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(hosts, max_size=5).map(tuple), looks)
def test_every_picture_fits(some: tuple[HostView, ...], look: Look) -> None:
    lines = [SGR.sub("", line) for line in frame(ClusterView(NOW, some), look)]
    assert all(cell_len(line) <= look.width for line in lines)
    assert look.height is None or len(lines) == look.height
    assert all(line.isprintable() for line in lines)
    assert not look.ascii_only or "".join(lines).isascii()


# -- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "room", "wanted"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ab cd", 4, "ab…"),
        ("数据库", 5, "数据…"),
        ("数据库", 4, "数…"),
        ("ab", 0, ""),
    ],
)
def test_cut(whole: str, room: int, wanted: str) -> None:
    assert cut(whole, room) == wanted
    assert cell_len(fill(whole, room)) == room


@given(st.text(), st.integers(0, 40))
def test_what_is_cut_and_filled_has_its_width(whole: str, room: int) -> None:
    shown = legible(whole)
    assert cell_len(fill(shown, room)) == room
    assert cell_len(head(shown, room)) <= room
    assert line_width(cut_line([Span(shown), Span("tail")], room)) <= room


def test_a_cut_is_marked_also_between_spans() -> None:
    assert "".join(span.text for span in cut_line([Span("ab"), Span("cd")], 3)) == "ab…"
    assert "".join(span.text for span in cut_line([Span("abc"), Span("d")], 3)) == "ab…"


def test_half_a_character_is_cleaned() -> None:
    assert clean("a\ud800b\udc80c") == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("environ", "encoding", "wanted"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", False),
        ({"LANG": "de_DE.utf8@euro"}, "UTF8", False),
        ({}, "utf-8", False),
        ({}, "ANSI_X3.4-1968", True),
        ({}, None, True),
        ({"LANG": "de_DE.ISO-8859-1"}, "utf-8", True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "utf-8", True),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8", False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, "utf-8", True),
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8", False),
        ({"LC_CTYPE": "UTF-8"}, "utf-8", False),
        ({"LANG": "en_US"}, "iso8859-1", True),
    ],
)
def test_when_only_ascii_is_sure_to_be_shown(environ: dict[str, str], encoding: str | None, wanted: bool) -> None:
    assert ascii_wanted(environ, encoding) is wanted
