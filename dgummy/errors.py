"""Everything that can go wrong, each with an exit code and a remedy.

An error here refuses a whole command. What happens to one host among several is a value
(`dgummy.model.Failure`), not an exception.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The documented exit codes (README, "Exit codes"); numbers follow BSD sysexits.h where it has one."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 64
    NO_HOST = 69
    BUG = 70
    SYNC_FAILED = 74
    TRY_AGAIN = 75
    REFUSED = 77
    CONFIG = 78
    TIMED_OUT = 124
    INTERRUPTED = 130


class DgummyError(Exception):
    """A refused command: `message` says what happened, `remedy` what to do about it."""

    code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, remedy: str = "", *, code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code


class UsageError(DgummyError):
    """The arguments of a command make no sense together, or ask for something refused."""

    code = ExitCode.USAGE


class ArgumentError(UsageError, ValueError):
    """A function was given something of the wrong kind. Raised by the Python API only; `argument` names it."""

    def __init__(self, argument: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.argument = argument


class ConfigError(DgummyError):
    """A settings file, environment variable or flag holds something wrong."""

    code = ExitCode.CONFIG


class NoHostError(DgummyError):
    """No host could take the work."""

    code = ExitCode.NO_HOST


class UnknownHostError(NoHostError):
    """A host was named that no group has."""


class SyncError(DgummyError):
    """The project could not be brought to a host, and there is no fallback."""

    code = ExitCode.SYNC_FAILED


class RefusedError(DgummyError):
    """Authentication failed, or a host key was refused."""

    code = ExitCode.REFUSED


class TryAgainError(DgummyError):
    """The state is unknown or something is in use; trying again later is safe."""

    code = ExitCode.TRY_AGAIN


class SSHConnectionError(NoHostError, ConnectionError):
    """A host could not be reached over SSH. Raised by the Python API only; `host` names it."""

    def __init__(self, host: str, message: str, remedy: str = "", *, code: ExitCode | None = None) -> None:
        super().__init__(message, remedy, code=code)
        self.host = host
