"""What may destroy something, or switch it off: nobody is to do that on a guess. Pure."""

from __future__ import annotations

import re

_HARM = re.compile(
    r"\b(?:wip(?:ed?|ing)|eras(?:ed?|ing)|destroy(?:ed|ing)?|nuk(?:ed?|ing)|rm -\w+|reboot(?:ed|ing)?|shut ?down"
    r"|shut (?:it|them|that|those) down|power ?off"
    r"|turn off|switch off|uninstall"
    r"|factory reset|sudo|reinstall (?:linux|windows|ubuntu|debian|macos|the (?:os|operating system|system))"
    r"|mkfs|dd if)\b"
    r"|\bformat (?:the|all|every|my) (?:\w+ )?(?:disks?|drives?|partitions?)\b"
    r"|\b(?:kill|terminate|stop) (?:all|every|everything|(?:the|that|my|this) (?!(?:[\w-]+ )*(?:runs?|jobs?|tasks?)\b)"
    r"(?!.* from \w+ing\b)(?!(?:[\w-]+ )?(?:n\+1|bugs?|flickers?|flicker|warnings?|errors?|lag|typos?|dead code"
    r"|duplicat\w+)\b))"
    r"|\b(?:delete|drop|remove|purge|clear|trash|clean out|clean up|clean|empty) (?:all|every|everything"
    r"|(?:(?:the|my|our|old|whole|entire|production|prod|live|staging|customer) )*"
    r"(?:home|disks?|databases?|db|backups?|users?|tables?|data))\b"
    r"|\bgit (?:clean|reset --hard|push (?:\S+ )*(?:-f|--force))|\b(?:docker|podman) (?:system|volume"
    r"|image|container) prune\b"
    r"|\b(?:kubectl|terraform|helm) (?:delete|destroy|uninstall|apply)\b|\b(?:truncate|shred|killall"
    r"|pkill|unlink|fdisk|parted)\b"
    r"|\b(?:cancel|kill|abort|stop|terminate|halt) (?:everything|gummy|all (?:the )?agents)\b"
    r"|\bch(?:mod|own) -R\b|\bkill -\w+|\bstash (?:drop|clear)\b|\bforce[- ]push|\bu(?:n)?mount\b"
    r"|\b(?:disable|stop|flush) (?:the )?firewall\b"
    r"|\b(?:tear|take|bring) (?:\w+ )*down\b|\b(?:reset|overwrite) (?:the )?(?:\w+ )?(?:databases?|db|disks?)\b"
    r"|\bfind\b.* -(?:delete|exec)\b|>\s*/|/dev/null >|\b(?:apt|apt-get|yum|dnf|brew|pip|npm) (?:remove"
    r"|purge|uninstall)\b"
    r"|\bremove (?:the )?(?:\w+ )?(?:folders?|director(?:y|ies)|disks?|users?|hosts?)\b"
    r"|\b(?:delete|get rid of|throw away) (?:(?:the|my|our|old|whole|entire) )*(?:[\w-]+ )?"
    r"(?:logs?|files?|folders?|director(?:y|ies)|branches|repo(?:sitory)?|projects?|codebase)\b",
    re.IGNORECASE,
)


def is_harm(command: str) -> bool:
    """Whether a command may destroy something, or switch it off."""
    return _HARM.search(command) is not None
