"""Which hosts there are, and which of them a command means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dgummy.errors import ConfigError, ExitCode, UnknownHostError, UsageError
from dgummy.inventory import Inventory, build, d_config_path, d_groups, select
from dgummy.layers import Layer, merge
from dgummy.settings import Settings

D_LABEL = "~/.config/distributed/config.yaml"


def settings(**raw: Any) -> Settings:
    return merge([Layer("f", raw)]).settings


@pytest.fixture
def two_groups() -> Inventory:
    return build(settings(groups={"dev": ["node-[1-3]", "db"], "ci": ["ci-1", "node-1"], "empty": []}))


def names(inventory: Inventory, *args: Any, **kwargs: Any) -> list[str]:
    return [host.name for host in select(inventory, *args, **kwargs)]


def test_our_groups_come_first(tmp_path: Path) -> None:
    inventory = build(settings(groups={"dev": ["a"]}), "groups: {dev: [b]}")
    assert inventory.source == "config"
    assert list(inventory.hosts) == ["a"]


def test_ds_file_is_not_even_read_when_we_have_groups(tmp_path: Path) -> None:
    assert build(settings(groups={"dev": ["a"]}), "{{{ malformed").source == "config"


def test_the_groups_of_d(tmp_path: Path) -> None:
    path = d_config_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("groups:\n  dev: [node-1, node-2, node-3]\n  empty: []\n  bare:\nother: {x: 1}\n")
    inventory = build(settings(hosts={"node-1": {"cores": 16}}), path)
    assert inventory.source == "d"
    assert inventory.groups == {"dev": ("node-1", "node-2", "node-3"), "empty": (), "bare": ()}
    assert inventory.hosts["node-1"].declared == {"cores": "16"}


def test_no_hosts_at_all(tmp_path: Path) -> None:
    for d_config in (None, d_config_path(tmp_path), "", "groups:", "other: 1"):
        inventory = build(settings(), d_config)
        assert (inventory.source, inventory.groups, inventory.hosts) == ("none", {}, {})
        assert select(inventory) == ()


BAD_D = [
    ("groups: {dev: [a\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'"),
    ("groups:\n  dev: [a]\n  dev: [b]\n", "line 3, column 3: the key dev is there twice, first in line 2"),
    ("groups: [a]", "groups: expected a map, got a list"),
    ("groups: {dev: node-1}", "groups.dev: expected a list, got 'node-1'"),
    ("groups: {dev: [1]}", "groups.dev: expected a host name, got 1"),
    ("groups: {dev: [-oX]}", "groups.dev: host name '-oX' starts with a dash"),
    ("groups: {1: [a]}", "groups: 1 cannot be a group name"),
    ("- a", "the top level is a list, not a mapping"),
]


@pytest.mark.parametrize(("text", "message"), BAD_D, ids=[case[1] for case in BAD_D])
def test_a_malformed_file_of_d(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        d_groups(text)
    assert caught.value.message == f"{D_LABEL}: {message}"
    assert caught.value.remedy


def test_a_preference_for_a_host_that_no_group_of_d_has() -> None:
    with pytest.raises(ConfigError) as caught:
        build(settings(host_preferences={"database": ["node-9"]}), "groups: {dev: [node-1]}")
    assert caught.value.message == f"{D_LABEL}: host_preferences.database: 'node-9' is in no group"
    assert "did you mean node-1?" in caught.value.remedy


def test_what_is_said_about_a_host() -> None:
    inventory = build(
        settings(
            groups={"dev": ["a", "b"]},
            path=["/opt/bin", "/x"],
            remote_dir="work",
            hosts={
                "a": {
                    "paths": ["a-lan", "a-ts"],
                    "capabilities": ["docker", "mem=64GB"],
                    "os": "darwin",
                    "arch": "arm64",
                    "cores": 10,
                    "path": ["/x"],
                    "remote_dir": "src",
                    "probe_root": "/fake",
                }
            },
        )
    )
    host, plain = inventory.hosts["a"], inventory.hosts["b"]
    assert host.ssh_names() == ("a-lan", "a-ts") and plain.ssh_names() == ("b",)
    assert host.declared == {"docker": "true", "mem": "64GB", "os": "darwin", "arch": "arm64", "cores": "10"}
    assert host.path_dirs == ("/x", "/opt/bin") and plain.path_dirs == ("/opt/bin", "/x")
    assert (host.remote_dir, plain.remote_dir) == ("src", "work")
    assert (host.probe_root, plain.probe_root) == ("/fake", "")


def test_a_host_that_is_only_described_takes_no_work() -> None:
    inventory = build(settings(groups={"dev": ["a"]}, hosts={"prod": {}}))
    assert list(inventory.hosts) == ["a"]


def test_selecting(two_groups: Inventory) -> None:
    assert names(two_groups) == ["node-1", "node-2", "node-3", "db"]
    assert names(two_groups, group="ci") == ["ci-1", "node-1"]
    assert names(two_groups, group="empty") == []
    assert names(two_groups, ["ci-1"]) == ["ci-1"]
    assert names(two_groups, ["db", "node-[1-2]", "node-1"]) == ["db", "node-1", "node-2"]
    assert names(two_groups, exclude=["node-[1-2]"]) == ["node-3", "db"]
    assert names(two_groups, ["node-1", "node-2"], exclude=["node-1"]) == ["node-2"]
    assert names(two_groups, exclude=["node-[1-3],db"]) == []
    assert names(two_groups, ["node-1"], group="ci") == ["node-1"]


def test_a_host_that_is_nearly_right(two_groups: Inventory) -> None:
    with pytest.raises(UnknownHostError) as caught:
        select(two_groups, ["nod-1"])
    assert caught.value.code is ExitCode.NO_HOST
    assert caught.value.message == "nod-1: no such host in any group"
    assert caught.value.remedy == "did you mean node-1?"


def test_a_host_like_no_other(two_groups: Inventory) -> None:
    with pytest.raises(UnknownHostError) as caught:
        select(two_groups, ["zzzzzz"])
    assert caught.value.remedy == "hosts are node-1, node-2, node-3, db, ci-1"
    many = build(settings(groups={"dev": ["n[1-20]"]}))
    with pytest.raises(UnknownHostError) as caught:
        select(many, ["zzzzzz"])
    assert caught.value.remedy == "hosts are n1, n2, n3, n4, n5, n6, n7, n8 and 12 more: `inv status` lists them"


def test_a_host_of_another_group(two_groups: Inventory) -> None:
    with pytest.raises(UnknownHostError) as caught:
        select(two_groups, ["db"], group="ci")
    assert caught.value.message == "db: no such host in group ci"
    assert caught.value.remedy == "it is in another group: leave out --group ci"


def test_a_host_that_only_ssh_knows(two_groups: Inventory) -> None:
    with pytest.raises(UnknownHostError) as caught:
        select(two_groups, ["prod"], ssh_hosts=lambda: ["prod"])
    assert caught.value.message == "prod: no such host in any group, though ssh knows it"
    assert "groups: {dev: [prod]}" in caught.value.remedy


def test_ssh_is_asked_only_for_a_message(two_groups: Inventory) -> None:
    def forbidden() -> list[str]:
        raise AssertionError("asked though nothing was wrong")

    assert names(two_groups, ["db"], ssh_hosts=forbidden) == ["db"]


def test_a_typo_in_exclude_is_refused(two_groups: Inventory) -> None:
    with pytest.raises(UnknownHostError, match="nod-3: no such host"):
        select(two_groups, exclude=["nod-3"])


def test_an_unknown_group(two_groups: Inventory) -> None:
    with pytest.raises(ConfigError) as caught:
        select(two_groups, group="dve")
    assert caught.value.message == "group: no group is called 'dve'"
    assert caught.value.remedy == "did you mean dev? groups are: dev, ci, empty"


def test_a_default_group_that_d_has_not() -> None:
    inventory = build(settings(), "groups: {work: [a]}")
    with pytest.raises(ConfigError, match="no group is called 'dev'"):
        select(inventory)
    assert names(inventory, ["a"]) == ["a"]


def test_naming_things_where_there_are_none() -> None:
    with pytest.raises(UnknownHostError, match="node-1: no such host") as caught:
        select(Inventory(), ["node-1"])
    assert "inv config.init --write" in caught.value.remedy
    with pytest.raises(ConfigError) as no_group:
        select(Inventory(), group="dev")
    assert "inv config.init --write" in no_group.value.remedy


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=x", "a b", "a\x1b[31m", "", " ", "a\n", "node-[1-", "node-[2-1]", "'; rm"]
)
def test_hostile_names_end_in_one_clean_line(name: str, two_groups: Inventory) -> None:
    if not name.strip():
        assert names(two_groups, [name]) == names(two_groups)
        return
    with pytest.raises((UnknownHostError, UsageError)) as caught:
        select(two_groups, [name])
    assert caught.value.message.isprintable() and caught.value.remedy.isprintable()
