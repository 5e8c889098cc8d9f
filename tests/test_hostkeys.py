"""Known hosts: our reading against ssh-keygen's, and every verdict."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.transport import hostkeys
from dgummy.transport.hostkeys import Changed, Known, KnownHostsFile, Revoked, Unknown
from sshd import keygen, make_key, public


def blob(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public keys by name, as "type base64"."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"ed": "ed25519", "ed2": "ed25519", "ec": "ecdsa", "rsa": "rsa"}
    return {name: public(make_key(folder / name, kind=kind)) for name, kind in kinds.items()}


def read(text: str, path: str = "kh") -> list[KnownHostsFile]:
    return [hostkeys.parse(path, text.encode())]


def judge(text: str, key: str, *names: str) -> hostkeys.Verdict:
    return hostkeys.verdict(read(text), names, key.split()[0], blob(key))


def test_known_unknown_changed_revoked(keys: dict[str, str]) -> None:
    text = f"# comment\n\nhost {keys['ed']} me@there\n@revoked host {keys['ec']}\n"
    assert judge(text, keys["ed"], "host") == Known("kh", 3)
    assert judge(text, keys["ed2"], "host") == Changed("kh", 3)
    assert judge(text, keys["ec"], "host") == Revoked("kh", 4)
    assert judge(text, keys["rsa"], "host") == Unknown(("ssh-ed25519",))
    assert judge(text, keys["ed"], "other") == Unknown()


def test_a_second_listed_key_is_known_whatever_the_first_says(keys: dict[str, str]) -> None:
    text = f"host {keys['ed2']}\nhost {keys['ed']}\n"
    assert judge(text, keys["ed"], "host") == Known("kh", 2)


def test_revoked_wins_over_known_in_an_earlier_file(keys: dict[str, str]) -> None:
    files = read(f"host {keys['ed']}\n", "user") + read(f"@revoked * {keys['ed']}\n", "global")
    assert hostkeys.verdict(files, ["host"], "ssh-ed25519", blob(keys["ed"])) == Revoked("global", 1)


def test_a_certificate_authority_never_matches(keys: dict[str, str]) -> None:
    assert judge(f"@cert-authority * {keys['ed']}\n", keys["ed"], "host") == Unknown()
    assert judge(f"@cert-authority * {keys['ed']}\n", keys["ed2"], "host") == Unknown()


def test_the_bare_name_confirms_but_does_not_accuse(keys: dict[str, str]) -> None:
    names = hostkeys.host_names("Host", 2222)
    assert names == ("[host]:2222", "host")
    assert judge(f"host {keys['ed']}\n", keys["ed"], *names) == Known("kh", 1)
    assert judge(f"host {keys['ed']}\n", keys["ed2"], *names) == Unknown()
    assert judge(f"[host]:2222 {keys['ed']}\n", keys["ed2"], *names) == Changed("kh", 1)
    assert hostkeys.host_names("host", 22) == ("host",)
    assert hostkeys.host_names("1.2.3.4", 2222, "Alias") == ("alias",)


@pytest.mark.parametrize(
    "garbage",
    [
        "host",
        "host ssh-ed25519",
        "host ssh-ed25519 not-base64!",
        "host ssh-ed25519 AAAA",
        "@unknown host {ed}",
        "host ssh-rsa {ed_blob}",
        "\0\xff\xfe",
        "|1|x|y {ed}",
        "|1|only {ed}",
        "|2|AAAA|AAAA {ed}",
    ],
)
def test_garbage_lines_are_passed_over(garbage: str, keys: dict[str, str]) -> None:
    line = garbage.format(ed=keys["ed"], ed_blob=keys["ed"].split()[1])
    assert judge(f"{line}\nhost {keys['ec']}\n", keys["ed"], "host") == Unknown(("ecdsa-sha2-nistp256",))


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        ("host", "host"),
        ("HOST", "host"),
        ("host", "hos"),
        ("a,host,b", "host"),
        ("*.example.org", "a.b.example.org"),
        ("*.example.org", "example.org"),
        ("h?st", "host"),
        ("h?st", "hst"),
        ("*,!host", "host"),
        ("!host,*", "host"),
        ("!host,*", "other"),
        ("[127.0.0.1]:2222", "[127.0.0.1]:2222"),
        ("[127.0.0.1]:2222", "127.0.0.1"),
        ("[*]:2222", "[host]:2222"),
        ("h[o]st", "host"),
        ("ho.t", "host"),
        ("::1", "::1"),
        ("", "host"),
        ("host,", "host"),
    ],
)
def test_names_match_as_ssh_keygen_finds_them(hosts: str, name: str, keys: dict[str, str], tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"{hosts} {keys['ed']}\n")
    found = _ssh_keygen_finds(name, known_hosts)
    ours = judge(known_hosts.read_text(), keys["ed"], name)
    assert isinstance(ours, Known) == found


def _ssh_keygen_finds(name: str, known_hosts: Path) -> bool:
    done = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(known_hosts)], capture_output=True, text=True, check=False
    )
    return bool(done.stdout)


def test_hashed_by_ssh_keygen(keys: dict[str, str], tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"host,[other]:2222 {keys['ed']}\n")
    keygen("-H", "-f", str(known_hosts))
    text = known_hosts.read_text()
    assert "host" not in text
    assert isinstance(judge(text, keys["ed"], "host"), Known)
    assert isinstance(judge(text, keys["ed"], "[other]:2222"), Known)
    assert judge(text, keys["ed"], "other") == Unknown()
    assert isinstance(judge(text, keys["ed2"], "host"), Changed)


@pytest.mark.parametrize("salt", [None, bytes(range(20))])
def test_lines_that_we_write_are_found_by_ssh_keygen(salt: bytes | None, keys: dict[str, str], tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    line = hostkeys.format_line("[host]:2222", "ssh-ed25519", blob(keys["ed"]), salt=salt)
    known_hosts.write_bytes(line)
    assert _ssh_keygen_finds("[host]:2222", known_hosts)
    assert not _ssh_keygen_finds("host", known_hosts)
    assert (b"host" in line) == (salt is None)


def test_fingerprint_is_ssh_keygens(keys: dict[str, str], tmp_path: Path) -> None:
    for name, key in keys.items():
        (tmp_path / name).write_text(key + "\n")
        shown = keygen("-l", "-f", str(tmp_path / name)).split()[1]
        assert hostkeys.fingerprint(blob(key)) == shown


def test_known_types_are_offered_first(keys: dict[str, str]) -> None:
    offered = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")

    def order(text: str, *names: str) -> tuple[str, ...]:
        return hostkeys.ordered_algorithms(read(text), names, offered)

    assert order(f"host {keys['rsa']}\n", "host")[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert order(f"host {keys['ec']}\n", "[host]:2222", "host")[0] == "ecdsa-sha2-nistp256"
    assert order(f"other {keys['ec']}\n", "host") == offered
    assert order(f"@cert-authority host {keys['ec']}\n", "host") == offered


@given(st.binary(max_size=300))
def test_any_file_can_be_read(content: bytes) -> None:
    file = hostkeys.parse("kh", content)
    assert isinstance(hostkeys.verdict([file], ["host"], "ssh-ed25519", b"x"), Unknown)


def test_a_large_file_is_quick_enough(keys: dict[str, str]) -> None:
    line = hostkeys.format_line("host", "ssh-ed25519", blob(keys["ed"]), salt=bytes(20)).decode()
    assert isinstance(judge(line * 2000, keys["ed2"], "elsewhere"), Unknown)
