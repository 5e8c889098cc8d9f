"""The page for a wall screen: what is on it, that nothing a host says breaks it, and how a real browser shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from dgummy.model import Failure, FailureKind
from dgummy.render import markup
from dgummy.render.page import page
from dgummy.render.pagetimeline import LEAST_PCT, MOST_DRAWN, MOST_LANES, Span, lanes, place, ticks
from dgummy.render.text import one_line
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, SpecialistState, TimelineEntry
from pages import DAY, NOW, ago, cluster, crowd, entry, host, specialist, usual, usual_day

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "</style><style>*{display:none}",
    "</bdi></title><b>bold",
    "&lt;script&gt; &amp;",
    "\x1b[31mred\x1b]0;title\x07",
    "two\nlines\r\nand\ttabs",
    "\u202egnp.exe\u2066\u200f\u061c",
    "\udc9b\ud800\x9b31m",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "x" * 5000,
)
VOID = ("meta", "br", "img", "link", "rect", "line")
BLOCKS = ("p", "div", "li", "h1", "h2", "h3", "title", "text")
KNOWN_TAGS = {
    *re.findall(
        r"\w+",
        "html head meta title style body header main footer section div h1 h2 h3 p ul li span b bdi a code small"
        " details summary svg g rect line text",
    )
}


class Reader(HTMLParser):
    """Reads a document; complains of what is not closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in BLOCKS:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def render(view: ClusterView, *entries: TimelineEntry, refresh_s: float = 5.0, title: str = "dgummy") -> str:
    return page(view, entries, day_start=DAY, refresh_s=refresh_s, title=title)


def said(*hosts: HostView, entries: tuple[TimelineEntry, ...] = ()) -> str:
    return Reader(render(cluster(*hosts), *entries)).text


# -- the document -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("view", "entries"), [(usual(), usual_day()), crowd(), (cluster(), [])])
def test_it_names_nothing_outside_itself_and_runs_nothing(view: ClusterView, entries: list[TimelineEntry]) -> None:
    document = render(view, *entries)
    assert not re.search(r"https?:|//|url\(|@import|javascript:", document, re.IGNORECASE)
    read = Reader(document)
    assert {tag for tag, _ in read.tags} <= KNOWN_TAGS
    for _, attributes in read.tags:
        assert not {"src", "srcset", "style", "data", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")


def test_its_policy_allows_its_own_style_sheet_and_nothing_else() -> None:
    document = render(usual())
    (policy,) = [
        given["content"] or ""
        for tag, given in Reader(document).tags
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", document, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy
    assert document.index("Content-Security-Policy") < document.index("<style>")


@pytest.mark.parametrize(("refresh_s", "wanted"), [(5.0, 'content="5"'), (0.5, 'content="1"'), (0.0, None)])
def test_a_browser_is_told_when_to_load_it_anew(refresh_s: float, wanted: str | None) -> None:
    found = re.findall(r'<meta http-equiv="refresh" (.*?)>', render(usual(), refresh_s=refresh_s))
    assert found == ([wanted] if wanted else [])


def test_links_lead_to_panels_that_are_there() -> None:
    tags = Reader(render(usual())).tags
    ids = [given["id"] for _, given in tags if "id" in given]
    links = [(given["href"] or "")[1:] for tag, given in tags if tag == "a"]
    assert len(set(ids)) == len(ids) == 6
    assert links == ["host-3", "host-4", "host-5", "host-6"]


# -- hostile text -----------------------------------------------------------------------------------------------------


def hostile_view(text: str) -> tuple[ClusterView, TimelineEntry]:
    """The text wherever a host, a file or a user can put it."""
    states = [
        specialist(text, scope=text, project=text, session_id=text, last_active=text, reason=text, status=status)
        for status in SpecialistState
    ]
    given = host(
        text,
        specialists=tuple(states),
        tasks=(AgentTask(text, text, SpecialistState.ACTIVE, float("nan"), text, None, text),),
        runs=(RunningCommand(text, float("inf"), text, text, text, last_line=text),),
        failure=Failure(FailureKind.SHELL, text, text),
        notices=(text,),
    )
    return cluster(given), TimelineEntry(text, text, text, text, ago(hours=2), ago(hours=1))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str) -> None:
    view, run = hostile_view(text)
    document = render(view, run, title=text)
    plain, plain_run = hostile_view("plain")
    expected = Reader(render(plain, plain_run, title="plain"))
    read = Reader(document)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in expected.tags]
    assert [sorted(given) for _, given in read.tags] == [sorted(given) for _, given in expected.tags]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]", document)
    document.encode("utf-8")
    assert len(document) < 100_000


@given(st.text())
def test_any_text_is_escaped(text: str) -> None:
    assert not set("<>\"'\n\x1b") & set(markup.attribute(text))
    assert Reader(f"<p>{markup.text(text)}</p>").text == " ".join(one_line(text).split())


def test_what_is_written_from_right_to_left_moves_no_neighbours() -> None:
    assert "<bdi>\u0627\u0644</bdi>" in render(cluster(host(specialists=(specialist("\u0627\u0644"),))))


# -- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (SpecialistState.ACTIVE, "⚡ active database-expert"),
        (SpecialistState.DORMANT, "💤 dormant database-expert"),
        (SpecialistState.NEW, "✨ new database-expert"),
        (SpecialistState.STOPPED, "◼ stopped database-expert"),
        (SpecialistState.FAILED, "✗ failed database-expert"),
        (SpecialistState.UNREADABLE, "database-expert ? unreadable: too large"),
    ],
)
def test_a_specialist_has_a_sign_and_a_word_for_its_state(status: SpecialistState, wanted: str) -> None:
    assert wanted in said(host(specialists=(specialist(status=status, reason="too large"),)))


def test_a_specialist_shows_its_sessions_its_session_and_when_it_was_active() -> None:
    shown = said(host(specialists=(specialist(),)))
    assert "$0.02" in shown
    assert "8 sessions" in shown
    assert "session 5f0c2d9e" in shown and "5f0c2d9e-" not in shown
    assert f"last active {ago(seconds=72).astimezone():%H:%M}" in shown
    shown = said(host(specialists=(specialist(sessions=None, session_id=None, last_active="2026-02-27T10:00:00Z"),)))
    assert "sessions ?" in shown and "no session" in shown and "last active 2026-02-2" in shown


@pytest.mark.parametrize(
    ("cost_usd", "complete", "wanted"),
    [
        (None, True, "cost ?"),
        (None, False, "cost ?"),
        (float("nan"), True, "cost ?"),
        (0.0, False, "cost ?"),
        (0.00001, False, "cost ?"),
        (0.0, True, "$0.00"),
        (0.00001, True, "&lt;$0.0001"),
        (0.0012, True, "$0.0012"),
        (0.0812, True, "$0.08"),
        (0.0812, False, "≥ $0.08"),
        (1234.5, True, "$1,234.50"),
    ],
)
def test_money(cost_usd: float | None, complete: bool, wanted: str) -> None:
    assert markup.money(cost_usd, complete=complete) == wanted


def test_a_cost_that_is_not_known_is_nowhere_nothing() -> None:
    unknown = host(
        specialists=(specialist(cost_usd=None),),
        tasks=(AgentTask("gummy-1", "task", SpecialistState.ACTIVE, ago(minutes=1).timestamp()),),
        cost_today_usd=None,
        cost_complete=False,
    )
    shown = said(unknown)
    assert "$" not in shown
    assert shown.count("cost ?") == 5  # its own, the task's, the host's, and the sum at the head and at the foot


def test_a_sum_says_when_it_is_not_all() -> None:
    known = host(cost_today_usd=0.5)
    assert "Total today: $1.00" in said(known, host("node-2", cost_today_usd=0.5))
    assert "Total today: ≥ $0.50" in said(known, HostView("node-2"))
    assert "Total today: ≥ $0.50" in said(known, host("node-2", cost_today_usd=None))
    assert "Total today: ≥ $1.00" in said(known, host("node-2", cost_today_usd=0.5, failure=pages.REFUSED))


def test_the_totals() -> None:
    assert "Total: 7 specialists, 3 active, 2 commands, 3 of 6 hosts answer" in Reader(render(usual())).text


def test_a_host_that_does_not_answer_keeps_its_last_values_and_says_why() -> None:
    gone = host(failure=pages.REFUSED, taken_at=ago(minutes=7), specialists=(specialist(),))
    document = render(cluster(gone))
    shown = Reader(document).text
    assert document.count('class="host stale"') == 1
    assert "✗ no answer: connection refused: 192.0.2.7 port 22" in shown
    assert "start sshd there" in shown
    assert "7 m 00 s old" in shown
    assert f"what it was at {ago(minutes=7).astimezone():%H:%M:%S}" in shown
    assert "database-expert" in shown and "45%" in shown


def test_a_host_that_answers_late_is_stale_and_one_in_time_is_not() -> None:
    assert "stale: a new answer is overdue" in said(host(taken_at=ago(seconds=40)))
    assert 'class="host stale"' not in render(cluster(host(taken_at=ago(seconds=2))))


def test_a_host_that_never_answered_has_no_figures() -> None:
    shown = said(HostView("node-9", failure=pages.REFUSED))
    assert "It has not answered so far." in shown and "CPU" not in shown and "$" not in shown
    assert "waiting for its first answer" in said(HostView("node-9", asked_at=NOW))


def test_bars_show_what_is_known() -> None:
    full, empty = pages.sample(cpu_pct=250.0), pages.sample(cpu_pct=None)
    assert 'class="bar full" aria-hidden="true"><rect width="100.0%"' in render(cluster(host(sample=full)))
    assert '<svg class="bar unknown" aria-hidden="true"></svg><b>?</b>' in render(cluster(host(sample=empty)))


def test_what_runs_has_its_age_its_owner_and_its_last_line() -> None:
    shown = Reader(render(usual())).text
    assert "► running npm run test -- --coverage 8 m 02 s 20260301-135512-a1b2 /home/dev/projects/shop" in shown
    assert "by kim@laptop PASS src/cart/checkout.test.ts (12.3 s)" in shown
    assert "… preparing 20260301-140259-c3d4 13 s by lee@desk" in shown
    assert "✓ done gummy-1772370000 $0.04" in shown
    assert "! 2 specialists more were not read" in shown


def test_a_task_began_by_our_clock() -> None:
    task = AgentTask("gummy-1", "task", SpecialistState.ACTIVE, ago(hours=1).timestamp() + 600)
    shown = said(host(sample=pages.sample(clock_offset_s=600.0), tasks=(task,)))
    assert f"started {ago(hours=1).astimezone():%H:%M}" in shown


def test_long_lists_are_folded_under_their_count() -> None:
    many = tuple(specialist(f"specialist-{number}") for number in range(30))
    document = render(cluster(host(specialists=many)))
    assert "<summary>and 22 more specialists</summary>" in document
    assert all(f"specialist-{number}<" in document for number in range(30))
    assert "<details>" not in render(cluster(host(specialists=many[:9])))  # a fold of one hides nothing


def test_of_many_hosts_the_busy_ones_come_first() -> None:
    view, entries = crowd()
    document = render(view, *entries)
    assert document.count('<section class="host') == 50
    assert "Nothing is at work on 34 hosts" in document
    assert "<summary>and 10 more hosts</summary>" in document
    order = [int(number) for number in re.findall(r'id="host-(\d+)"', document)]
    assert order[:4] == [1, 5, 6, 9] and order[16:19] == [2, 3, 4]
    assert len(document) < 500_000


# -- the timeline -----------------------------------------------------------------------------------------------------

WHOLE_S = (NOW - DAY).total_seconds()


@pytest.mark.parametrize(
    ("start_s", "took_s", "left_pct", "width_pct", "cut"),
    [
        (0.0, WHOLE_S, 0.0, 100.0, False),
        (WHOLE_S / 4, WHOLE_S / 2, 25.0, 50.0, False),
        (WHOLE_S / 2, None, 50.0, 50.0, False),  # still going: to now
        (-3600.0, 3600.0 + WHOLE_S / 2, 0.0, 50.0, True),  # began yesterday
        (-3600.0, None, 0.0, 100.0, True),
        (-3600.0, 3600.0, 0.0, LEAST_PCT, True),  # ended as the day began
        (WHOLE_S / 2, 0.0, 50.0, LEAST_PCT, False),  # no length
        (WHOLE_S / 2, -60.0, 50.0, LEAST_PCT, False),  # ended before it began, by its clocks
        (WHOLE_S, None, 100.0 - LEAST_PCT, LEAST_PCT, False),  # has just begun
        (WHOLE_S + 90.0, 30.0, 100.0 - LEAST_PCT, LEAST_PCT, False),  # by a clock that is ahead of ours
        (WHOLE_S / 2, WHOLE_S, 50.0, 50.0, False),
    ],
)
def test_where_a_bar_is(start_s: float, took_s: float | None, left_pct: float, width_pct: float, cut: bool) -> None:
    span = place(entry(start_h=start_s / 3600, took_s=took_s), DAY, NOW)
    assert span is not None
    assert (round(span.left_pct, 3), round(span.width_pct, 3), span.cut) == (left_pct, width_pct, cut)


def test_a_run_that_was_over_before_the_day_has_no_bar_and_is_not_counted() -> None:
    over = entry(start_h=-2.0, took_s=60.0)
    assert place(over, DAY, NOW) is None
    assert "No runs today." in said(host(), entries=(over,))


@pytest.mark.parametrize("after", [timedelta(0), timedelta(seconds=1)])
def test_a_day_that_has_hardly_begun(after: timedelta) -> None:
    span = place(entry(start_h=0.0, took_s=None), DAY, DAY + after)
    assert span is not None and span.left_pct >= 0 and span.right_pct <= 100
    assert ticks(DAY, DAY + after)[0] == (0.0, DAY)
    document = page(ClusterView(DAY + after, (host(),)), [entry(start_h=0.0)], day_start=DAY, refresh_s=1)
    assert "1 run" in document


@given(st.lists(st.tuples(st.floats(-9, 20), st.none() | st.floats(-9, 90_000)), max_size=60))
def test_bars_are_inside_and_hide_no_other_while_there_is_room(given_runs: list[tuple[float, float | None]]) -> None:
    found = [place(entry(start_h=start, took_s=took), DAY, NOW) for start, took in given_runs]
    spans = sorted((span for span in found if span is not None), key=lambda one: one.left_pct)
    assert all(span.left_pct >= 0 and span.right_pct <= 100 + 1e-9 for span in spans)
    lane_of = lanes(spans)
    assert set(lane_of) <= set(range(MOST_LANES))
    over = [
        (one, other)
        for number, one in enumerate(spans)
        for later, other in enumerate(spans[:number])
        if lane_of[number] == lane_of[later] and other.right_pct > one.left_pct
    ]
    at_once = max((sum(two.left_pct <= one.left_pct < two.right_pct for two in spans) for one in spans), default=0)
    assert not over or at_once > MOST_LANES


def test_bars_that_do_not_fit_are_still_there() -> None:
    assert sorted(lanes([Span(10.0, 50.0)] * 20)) == sorted([*range(MOST_LANES)] * 3 + [0, 1])
    document = render(cluster(host()), *[entry(start_h=3 + n / 1000, took_s=9000.0) for n in range(20)])
    assert document.count('<g class="run') == 20


@pytest.mark.parametrize(
    ("state", "shown"),
    [("ok", "✓ 1 ok"), ("timed_out", "✗ 1 timed out"), ("lost", "? 1 lost"), ("<i>", "◇ 1 <i>"), ("", "◇ 1 unknown")],
)
def test_a_state_is_told_by_its_sign_and_in_words(state: str, shown: str) -> None:
    document = render(cluster(host()), entry(state=state))
    assert f"1 run: {shown}" in Reader(document).text
    assert document.count('<g class="run ') == 1


def test_a_run_says_when_it_ran() -> None:
    began = DAY + timedelta(hours=9)
    shown = said(host(), entries=(entry(start_h=9, took_s=None),))
    assert f"► running {began.astimezone():%H:%M}–now, 5 h 03 m npm test run-9" in shown


def test_a_failure_is_drawn_over_what_went_well() -> None:
    runs = [entry(start_h=3.0, took_s=0.0, state="failed"), entry(start_h=3.1, took_s=7000.0)]
    document = render(cluster(host()), *runs)
    assert document.index('class="run good"') < document.index('class="run bad"')


def test_hosts_of_the_timeline_that_are_not_in_the_view_come_after() -> None:
    document = render(cluster(host("a"), host("b")), entry("gone"), entry("b"), entry(""))
    rows = re.findall(r'<div class="row"><h3>(.*?)</h3>', document)
    assert rows == ["<bdi>b</bdi>", "<bdi>gone</bdi>", "no host took it"]
    assert "No runs today: 1 host" in document


def test_very_many_runs_are_counted_and_the_newest_drawn() -> None:
    document = render(cluster(host()), *[entry(start_h=number / 100, took_s=5.0) for number in range(1000)])
    assert document.count('<g class="run') == MOST_DRAWN
    assert "1000 runs" in document or "1,000 runs" in document
    assert f"and {1000 - MOST_DRAWN} earlier runs, not shown here" in document


@pytest.mark.parametrize("hours", [0.01, 0.5, 1, 5, 13, 23.99, 25])
def test_the_axis_has_few_whole_steps(hours: float) -> None:
    found = ticks(DAY, DAY + timedelta(hours=hours))
    assert 1 <= len(found) <= 6
    assert all(0 <= at <= 100 and moment.second == 0 for at, moment in found)


def test_the_zone_is_named_once() -> None:
    zone = markup.zone(NOW)
    assert render(usual(), *usual_day()).count(f"({zone})") == 1


# -- in a browser -----------------------------------------------------------------------------------------------------

in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(pages.BROWSER is None, reason="there is no Chromium on PATH"),
]


def _long_words() -> tuple[ClusterView, list[TimelineEntry]]:
    view, run = hostile_view("W" * 300)
    return view, [run]


class TestInChromium:
    pytestmark = in_browser

    @pytest.mark.parametrize("width", [390, 1440])
    @pytest.mark.parametrize("what", ["usual", "crowd", "long words"])
    def test_it_fits(self, tmp_path: Path, what: str, width: int) -> None:
        views = {"usual": (usual(), usual_day()), "crowd": crowd(), "long words": _long_words()}
        view, entries = views[what]
        document = render(view, *entries, refresh_s=600).replace("<details>", "<details open>")
        seen = pages.measured(tmp_path, document, width)
        assert (seen["width"], seen["scroll"], seen["wide"]) == (width, width, [])
        assert len(seen["panels"]) == len(view.hosts)
        assert all(200 < panel <= width for panel in seen["panels"])
        assert all(left >= -1.5 and right <= whole + 1.5 for left, right, whole in seen["bars"])
        assert len(seen["bars"]) == sum(place(one, DAY, NOW) is not None for one in entries)
        assert seen["complaints"] == []

    def test_panels_are_beside_each_other_where_there_is_room(self, tmp_path: Path) -> None:
        document = render(usual(), *usual_day(), refresh_s=600)
        assert max(pages.measured(tmp_path, document, 1440)["panels"]) < 720
        assert min(pages.measured(tmp_path, document, 390)["panels"]) > 300

    def test_bars_are_as_long_as_they_say(self, tmp_path: Path) -> None:
        seen = pages.measured(tmp_path, render(cluster(host()), entry(start_h=0.0, took_s=WHOLE_S / 2)), 1440)
        assert seen["meters"] == pytest.approx([0.45, 0.72, 0.03], abs=0.01)
        ((left, right, whole),) = seen["bars"]
        assert (left / whole, right / whole) == pytest.approx((0.0, 0.5), abs=0.01)
        assert "database-expert" not in seen["text"] and "node-1" in seen["text"]

    def test_light_and_dark(self, tmp_path: Path) -> None:
        light, dark = (
            pages.measured(tmp_path, render(usual()), 390, scheme)["background"] for scheme in ("light", "dark")
        )
        assert (light, dark) == ("rgb(238, 241, 245)", "rgb(12, 16, 22)")

    def test_its_policy_stops_what_slips_through(self, tmp_path: Path) -> None:
        slipped = "<script>window.ran = true</script><p style='width:9000px'>x</p>"
        seen = pages.measured(tmp_path, render(usual()).replace("</main>", f"{slipped}</main>"), 390)
        assert not seen["ran"]
        assert seen["scroll"] == 390
        assert len(seen["complaints"]) >= 2
