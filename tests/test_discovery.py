"""What `inv config.init` proposes, and how it is written down."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dgummy.discovery import Proposal, propose, render_config, tailscale_status, write_new
from dgummy.errors import ConfigError, UsageError
from dgummy.layers import Layer, merge
from dgummy.yamltext import load_mapping

DATA = Path(__file__).parent / "data" / "config"
TAILNET: dict[str, Any] = json.loads((DATA / "tailscale_status.json").read_text(encoding="utf-8"))


def names(proposal: Proposal) -> list[str]:
    return [host.name for host in proposal.hosts]


def reasons(proposal: Proposal) -> dict[str, str]:
    return {left.name: left.reason for left in proposal.left_out}


def test_everything_together() -> None:
    ssh = ["github.com", "node-1", "node-2", "laptop", "prod-web", "nas"]
    proposal = propose(ssh, {"dev": ["node-1"], "gpu": ["gpu-1"]}, TAILNET, "laptop.local")
    found = {host.name: host for host in proposal.hosts}
    assert list(found) == ["node-1", "gpu-1", "node-2", "nas", "mac-mini"]
    assert found["node-1"].sources == ("d", "ssh", "tailscale")
    assert found["node-1"].paths == ("node-1", "node-1.tail1234.ts.net")
    assert found["node-2"].sources == ("ssh",)
    assert found["node-2"].reason == "in ssh's config; Tailscale says: offline on the tailnet"
    assert found["mac-mini"].sources == ("tailscale",) and found["mac-mini"].reason == "online on the tailnet, macOS"
    assert proposal.groups == {"dev": ("node-1", "node-2", "nas", "mac-mini"), "gpu": ("gpu-1",)}


def test_what_is_left_out_and_why() -> None:
    proposal = propose(["github.com", "laptop", "prod-web"], {}, TAILNET, "laptop.local")
    left = reasons(proposal)
    assert left["github.com"] == "looks like a git forge"
    assert left["laptop"] == "this machine"
    assert left["prod-web"].startswith("looks like production")
    assert left["node-2"] == "offline on the tailnet"
    assert left["phone"] == "runs iOS"
    assert left["shared"] == "another tailnet's machine"
    assert left["old"] == "its Tailscale key has expired"


@pytest.mark.parametrize(
    "name", ["github.com", "gitlab.com", "bitbucket.org", "github-work", "github.com-me", "GitHub.com", "git.sr.ht"]
)
def test_git_forges(name: str) -> None:
    assert reasons(propose([name], {}, None, "me")) == {name: "looks like a git forge"}


@pytest.mark.parametrize("name", ["me", "ME", "me.local", "localhost", "127.0.0.1", "::1"])
def test_this_machine(name: str) -> None:
    proposal = propose([name], {"dev": [name]}, None, "me.local" if name != "me" else "me.lan")
    assert proposal.hosts == () and proposal.groups == {}


def test_a_number_is_not_shortened_to_this_machine() -> None:
    assert names(propose(["10.0.0.7", "10"], {}, None, "10.0.0.5")) == ["10.0.0.7", "10"]


@pytest.mark.parametrize("name", ["legit-host", "digital", "production2", "projump"])
def test_names_that_only_look_alike(name: str) -> None:
    assert names(propose([name], {}, None, "me")) == [name]


def test_a_production_name_that_d_already_uses_stays() -> None:
    assert names(propose([], {"dev": ["prod-1"]}, None, "me")) == ["prod-1"]


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a b", "a\n- evil", "a\x1b[31m", ""])
def test_hostile_names_are_left_out_and_shown_clean(name: str) -> None:
    proposal = propose([name], {}, None, "me")
    assert proposal.hosts == ()
    text = render_config(proposal)
    assert load_mapping(text, "x")["groups"] == {}
    filled = text.replace("groups: {}", "groups: {dev: [node-1, node-2]}")
    assert load_mapping(filled, "x")["groups"] == {"dev": ["node-1", "node-2"]} and text.count("groups:") == 1


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"Peer": None},
        {"Peer": []},
        {"Peer": {"a": None, "b": 5, "c": {}, "d": {"DNSName": 5, "OS": []}}},
        {"Self": 5, "Peer": {}},
        {"Self": {"TailscaleIPs": 5, "DNSName": None}, "BackendState": "NeedsLogin"},
    ],
    ids=str,
)
def test_odd_answers_of_tailscale(status: Any) -> None:
    assert propose([], {}, status, "me") == Proposal()


def test_hostile_peers() -> None:
    peers = {
        "a": {"DNSName": "-x.ts.net.", "Online": True, "OS": "linux"},
        "b": {"DNSName": "b.ts.net.", "Online": True, "OS": "li\nnux: [}"},
        "c": {"HostName": "c c", "Online": True, "OS": "linux"},
        "d": {"DNSName": "d.ts.net.", "Online": "yes", "OS": "linux"},
    }
    proposal = propose([], {}, {"Peer": peers}, "me")
    assert names(proposal) == []
    load_mapping(render_config(proposal), "x")


PROPOSALS = {
    "nothing": Proposal(),
    "ssh": propose(["node-1", "node-2"], {}, None, "me"),
    "tailnet": propose(["node-1", "prod"], {"dev": ["node-1"], "gpu": ["gpu-1"], "none": []}, TAILNET, "me"),
    "odd names": propose(
        ["on", "1", "1.5", "a:b", "#x", "null", "ü", "user@host", "*x", "0x1F", "1e3", "~"], {}, None, "me"
    ),
    "other group": propose([], {"work": ["a"]}, None, "me"),
}


@pytest.mark.parametrize("proposal", PROPOSALS.values(), ids=PROPOSALS)
def test_what_is_written_is_valid_and_means_the_same(proposal: Proposal) -> None:
    text = render_config(proposal)
    merged = merge([Layer("f", load_mapping(text, "f"))])
    assert merged.warnings == ()
    assert merged.settings.groups == proposal.groups
    for host in proposal.hosts:
        assert merged.settings.hosts.get(host.name, host).paths == host.paths
    assert all(line.isprintable() and len(line) < 200 for line in text.splitlines())


def test_the_commented_examples_are_valid_too() -> None:
    text = render_config(propose(["node-1"], {}, None, "me"))
    examples = text.partition("# Some of what else")[2].partition("\n")[2]
    raw = yaml.safe_load("\n".join(line[2:] for line in examples.splitlines()))
    settings = merge([Layer("f", {**raw, "groups": {"dev": ["node-1"]}})]).settings
    assert settings.host_preferences == {"database": ("node-1",)}
    assert settings == merge([Layer("f", {"groups": {"dev": ["node-1"]}, **raw})]).settings


def test_an_invalid_group_name_of_d_loses_no_host() -> None:
    proposal = propose([], {"my group": ["a"]}, None, "me")
    assert proposal.groups == {"dev": ("a",)}


def test_the_reasons_are_in_the_file() -> None:
    text = render_config(propose(["node-1", "github.com"], {}, None, "me"))
    assert "    - node-1  # in ssh's config" in text
    assert "#   github.com: looks like a git forge" in text


def fake_tailscale(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    script = folder / "tailscale"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_asking_tailscale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tailscale(tmp_path / "bin", f'[ "$*" = "status --json" ] && cat {DATA}/tailscale_status.json', monkeypatch)
    assert tailscale_status(5) == TAILNET


@pytest.mark.parametrize(
    "body", ["exit 1", "echo '{}'; exit 1", "echo nonsense", "echo '[]'", "printf '\\377'", "true"]
)
def test_a_tailscale_that_says_nothing_sensible(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tailscale(tmp_path / "bin", body, monkeypatch)
    assert tailscale_status(5) is None


def test_a_tailscale_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tailscale(tmp_path / "bin", "sleep 30 & wait", monkeypatch)
    start = time.monotonic()
    assert tailscale_status(0.3) is None
    assert time.monotonic() - start < 3


def test_a_tailscale_that_never_stops_talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tailscale(tmp_path / "bin", "exec yes", monkeypatch)
    began = time.monotonic()
    assert tailscale_status(60) is None
    assert time.monotonic() - began < 30  # not until time is up: all that it says would have to be kept


def test_no_tailscale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert tailscale_status(5) is None


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_writing_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.yaml"
    write_new(path, "group: dév\n")
    assert path.read_text(encoding="utf-8") == "group: dév\n"
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "pipe"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "config.yaml", tmp_path / "other"
    other.write_text("precious")
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(other if kind == "link" else tmp_path / "none")
    with pytest.raises(UsageError) as caught:
        write_new(path, "new")
    assert str(path) in caught.value.message and "never overwritten" in caught.value.message
    assert other.read_text() == "precious" and not (tmp_path / "none").exists()


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    with pytest.raises((UsageError, ConfigError)):
        write_new(tmp_path / "a" / "config.yaml", "new")
    assert (tmp_path / "a").read_text() == "precious"
