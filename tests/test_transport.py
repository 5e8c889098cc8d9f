"""One suite for every transport: whatever carries a script, the same bytes, facts, limits and failures come back."""

from __future__ import annotations

import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgummy.model import Failure, FailureKind, Host
from dgummy.remote import compose
from dgummy.transport.base import Answer, Limits, Reached, Script, Transport
from dgummy.transport.framing import Data, Fact, Frame
from dgummy.transport.local import LocalTransport
from dgummy.transport.ssh import SSHTransport
from sshd import Sshd, needs_sshd, running

DEFAULT_LIMITS = Limits()

HOSTILE = [
    "plain",
    'it\'s "quoted" `touch x` $(touch y) $HOME \\ \\n',
    "-n --help; exit 9; #",
    "tab\there, newline\nthere, bell\a, escape\x1b[31m",
    "naïve ✓ 日本語 \U0001f600",
    "dg-0000 end 0",
    "%s %d %n",
    "'" * 50,
]


@dataclass
class Carrier:
    """A transport and a host that it reaches."""

    transport: Transport
    host: Host

    def run(self, script: Script, limits: Limits = DEFAULT_LIMITS, **options: object) -> Answer | Failure:
        return self.transport.run_script(self.host, script, limits, **options)  # type: ignore[arg-type]

    def answer(self, body: str, limits: Limits = DEFAULT_LIMITS, **variables: str | bytes) -> Answer:
        reply = self.run(shell(body, **variables), limits)
        assert isinstance(reply, Answer), reply
        return reply

    def data(self, body: str, **variables: str | bytes) -> bytes:
        pieces: list[bytes] = []
        reply = self.run(shell(body, **variables), sink=keep_data(pieces))
        assert isinstance(reply, Answer), reply
        return b"".join(pieces)


def shell(body: str, **variables: str | bytes) -> Script:
    return compose([], "eval", [body], variables=dict(variables))


def keep_data(pieces: list[bytes]) -> Callable[[Frame], None]:
    def sink(frame: Frame) -> None:
        if isinstance(frame, Data):
            pieces.append(frame.data)

    return sink


def plain_ssh(server: Sshd) -> SSHTransport:
    return SSHTransport(
        server.target, connect_s=10, browser_s=10, interactive=False, ask=None, on_notice=lambda *_: None
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(lambda name: tmp_path_factory.mktemp(name)) as start:
        yield start()


@pytest.fixture(params=["local", pytest.param("ssh", marks=needs_sshd)])
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    if request.param == "local":
        transport: Transport = LocalTransport()
    else:
        transport = plain_ssh(request.getfixturevalue("server"))
    yield Carrier(transport, Host("node"))
    transport.close()


def test_connect_says_how_it_was_reached(carrier: Carrier) -> None:
    reached = carrier.transport.connect(carrier.host)
    assert isinstance(reached, Reached)
    assert reached.ssh_name == "node"


def test_facts_noise_and_exit_status_stay_apart(carrier: Carrier) -> None:
    answer = carrier.answer("echo out noise; fact one '1 2'; echo err noise >&2; fact two; fact one 3; (exit 7)")
    assert answer.exit_status == 7
    assert answer.all("one") == ["1 2", "3"]
    assert answer.has("two") and not answer.has("begin") and not answer.has("end")
    assert "out noise" in answer.noise and "err noise" in answer.noise


@pytest.mark.parametrize("status", [0, 1, 126, 255])
def test_exit_status(carrier: Carrier, status: int) -> None:
    assert carrier.answer(f"(exit {status})").exit_status == status


@pytest.mark.parametrize("text", HOSTILE)
def test_text_arrives_byte_for_byte(carrier: Carrier, text: str) -> None:
    body = 'printf \'%s <out> %s\\n\' "$MARK" "$SIZE"; printf %s "$TEXT"'
    assert carrier.data(body, TEXT=text, SIZE=str(len(text.encode()))) == text.encode()


def test_every_byte_goes_in_and_comes_out(carrier: Carrier) -> None:
    inwards = bytes(range(1, 256))
    body = 'printf \'%s <out> 255\\n\' "$MARK"; printf %s "$RAW"'
    assert carrier.data(body, RAW=inwards) == inwards
    octal = "".join(f"\\{byte:03o}" for byte in range(256))
    assert carrier.data(f"printf '%s <out> 256\\n' \"$MARK\"; printf '{octal}'") == bytes(range(256))


def test_characters_survive_the_edges_of_chunks(carrier: Carrier) -> None:
    # An odd first byte puts every two-byte character across every even edge.
    body = (
        "printf '%s <out> 2000001\\n' \"$MARK\"; printf x; "
        'awk \'BEGIN { for (i = 0; i < 1000; i++) { printf "%s", L } }\' L="$LINE" 2>/dev/null || :'
    )
    line = "é" * 1000
    body = body.replace("BEGIN {", 'BEGIN { L = ENVIRON["LINE"];')
    got = carrier.data("export LINE; " + body, LINE=line)
    assert got == b"x" + line.encode() * 1000


def test_a_fact_may_hold_any_characters(carrier: Carrier) -> None:
    assert carrier.answer('fact text "$TEXT"', TEXT="日本 \U0001f600 'x'").first("text") == "日本 \U0001f600 'x'"


def test_a_script_of_five_megabytes(carrier: Carrier) -> None:
    payload = b"0123456789abcdef\n" * 300_000
    answer = carrier.answer("fact size ${#PAYLOAD}", PAYLOAD=payload)
    assert int(answer.first("size")) == len(payload)


def test_large_output_is_not_kept(carrier: Carrier) -> None:
    size, seen = 32 * 1024 * 1024, 0

    def sink(frame: Frame) -> None:
        nonlocal seen
        if isinstance(frame, Data):
            seen += len(frame.data)

    script = shell(f"printf '%s <out> {size}\\n' \"$MARK\"; head -c {size} /dev/zero; fact done yes")
    tracemalloc.start()
    try:
        answer = carrier.run(script, sink=sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Answer) and answer.first("done") == "yes"
    assert seen == size
    assert peak < 16 * 1024 * 1024


def test_large_noise_is_not_kept(carrier: Carrier) -> None:
    answer = carrier.answer(
        "head -c 20000000 /dev/zero | tr '\\0' x >&2; head -c 20000000 /dev/zero | tr '\\0' y; fact ok"
    )
    assert answer.has("ok") and len(answer.noise) < 10_000


def test_frames_come_while_the_script_runs(carrier: Carrier) -> None:
    times: dict[str, float] = {}

    def sink(frame: Frame) -> None:
        if isinstance(frame, Fact):
            times[frame.name] = time.monotonic()

    carrier.run(shell("fact first; sleep 0.5; fact second"), sink=sink)
    assert times["second"] - times["first"] > 0.3


def test_the_sink_is_called_by_whoever_runs_the_script(carrier: Carrier) -> None:
    threads = set()
    carrier.run(shell("fact x"), sink=lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_total_limit(carrier: Carrier) -> None:
    began = time.monotonic()
    reply = carrier.run(shell("while :; do fact tick; sleep 0.1; done"), Limits(total_s=0.6))
    assert isinstance(reply, Failure) and reply.kind is FailureKind.LOST
    assert "no end within 0.6 s" in reply.detail
    assert time.monotonic() - began < 3


def test_idle_limit_counts_silence_only(carrier: Carrier) -> None:
    assert (
        carrier.answer("for i in 1 2 3 4; do sleep 0.3; echo x >&2; done", Limits(total_s=None, idle_s=2)).exit_status
        == 0
    )
    began = time.monotonic()
    reply = carrier.run(shell("fact x; sleep 20"), Limits(total_s=None, idle_s=0.7))
    assert isinstance(reply, Failure) and reply.kind is FailureKind.LOST
    assert "nothing heard for 0.7 s" in reply.detail
    assert time.monotonic() - began < 4


def test_a_slow_sink_is_not_silence(carrier: Carrier) -> None:
    reply = carrier.run(shell("fact x"), Limits(total_s=None, idle_s=0.5), sink=lambda _: time.sleep(0.7))
    assert isinstance(reply, Answer)


def test_scripts_at_once_do_not_mix(carrier: Carrier) -> None:
    def one(number: int) -> str:
        return carrier.answer(f"sleep 0.2; fact number {number}").first("number")

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(one, range(6))) == [str(number) for number in range(6)]


def test_half_a_script_runs_nothing(carrier: Carrier, tmp_path: Path) -> None:
    whole = shell(f"touch '{tmp_path}/ran'")
    for cut in (3, len(whole.text) // 2, 40):
        reply = carrier.run(Script(whole.text[:-cut], whole.marker))
        assert isinstance(reply, Failure) and reply.kind is FailureKind.SHELL
    assert not (tmp_path / "ran").exists()
    assert isinstance(carrier.run(whole), Answer)
    assert (tmp_path / "ran").exists()


def test_a_killed_script_is_lost(carrier: Carrier) -> None:
    reply = carrier.run(shell("fact x; kill -KILL $$"))
    assert isinstance(reply, Failure) and reply.kind is FailureKind.LOST


def test_what_a_script_leaves_behind_does_not_hold_it_up(carrier: Carrier) -> None:
    began = time.monotonic()
    assert carrier.answer("sleep 30 & fact done").has("done")
    assert time.monotonic() - began < 3


def test_an_error_in_the_sink_is_ours_to_see_and_ends_the_script(carrier: Carrier) -> None:
    def sink(frame: Frame) -> None:
        raise ZeroDivisionError

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        carrier.run(shell("fact x; sleep 30"), sink=sink)
    assert time.monotonic() - began < 5
    assert carrier.answer("fact again").has("again")


def test_scripts_start_at_home(carrier: Carrier) -> None:
    assert Path(carrier.answer('fact where "$(pwd -P)"').first("where")).is_dir()


def test_no_threads_or_files_are_left_behind(carrier: Carrier) -> None:
    carrier.answer("fact x")
    before = threading.active_count()
    for _ in range(5):
        carrier.answer("fact x")
    until = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.02)
    assert threading.active_count() <= before


RC = 'echo "Welcome, \'friend\' `date`"; printf "%s" "no newline at the end"; echo complaint >&2\n'
SHELLS = {
    "bash": ("bash", '{bash} -c "$SSH_ORIGINAL_COMMAND"', ".bashrc"),
    "bash login": ("bash", '{bash} -lc "$SSH_ORIGINAL_COMMAND"', ".bash_profile"),
    "dash": ("dash", '{dash} -c "$SSH_ORIGINAL_COMMAND"', ""),
    "busybox": ("busybox", '{busybox} sh -c "$SSH_ORIGINAL_COMMAND"', ""),
    "zsh": ("zsh", '{zsh} -c "$SSH_ORIGINAL_COMMAND"', ".zshenv"),
    "fish": ("fish", '{fish} -c "$SSH_ORIGINAL_COMMAND"', ".config/fish/config.fish"),
    "csh": ("csh", '{csh} -c "$SSH_ORIGINAL_COMMAND"', ".cshrc"),
}


@needs_sshd
@pytest.mark.parametrize("name", SHELLS)
def test_noisy_login_shells(name: str, tmp_path: Path) -> None:
    program, command, rc = SHELLS[name]
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    with running(lambda folder: tmp_path / folder) as start:
        server = start("ForceCommand " + command.format(**{program: path}))
        if rc:
            (server.home / rc).parent.mkdir(parents=True, exist_ok=True)
            (server.home / rc).write_text(RC if program != "fish" else RC.replace("`date`", ""))
        transport = plain_ssh(server)
        carrier = Carrier(transport, Host("node"))
        answer = carrier.answer('fact text "$TEXT"; (exit 3)', TEXT=HOSTILE[1])
        assert answer.exit_status == 3
        assert answer.first("text") == HOSTILE[1]
        if rc:
            assert "Welcome" in answer.noise
        transport.close()


@needs_sshd
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo This account is not available; exit 1", "This account is not available"),
        ("echo sh: not found >&2; exit 127", "not found"),
        ("exit 0", "without running sh"),
        ("cat >/dev/null; exit 0", "without running sh"),
    ],
)
def test_a_shell_that_never_runs_sh(command: str, said: str, tmp_path: Path) -> None:
    with running(lambda folder: tmp_path / folder) as start:
        server = start(f"ForceCommand {command}")
        transport = plain_ssh(server)
        reply = transport.run_script(Host("node"), shell("fact x"))
        assert isinstance(reply, Failure) and reply.kind is FailureKind.SHELL
        assert said in reply.detail
        transport.close()
