"""What a command can end in, and with which exit code (part of the command-line contract)."""

import sys
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `surgecast`."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    CHECK_FAILED = 6


class CommandError(Exception):
    """Ends a command with an exit code and a message on stderr that names the subject and the next step."""

    def __init__(self, message: str, code: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.code = code


class ConfigError(CommandError):
    """The configuration is wrong: names the key, the reason and an example."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.USAGE)


def exit_code(error: Exception) -> Exit | None:
    """Return the exit code of an error that a command or a role may end in; None where it is a bug of ours."""
    if isinstance(error, CommandError):
        return error.code
    # Here and not above: the seam brings Arrow, which most verbs never need.
    from scaler.target import TargetError, TargetForbidden, TargetGone, TargetUnavailable
    from storage.seam import BadAddress, BadQuery, OutOfScope, StoreError, StoreLocked, StoreUnavailable

    codes: tuple[tuple[type[Exception], Exit], ...] = (
        (TargetForbidden, Exit.NOT_ALLOWED),
        (TargetGone, Exit.NOT_FOUND),
        (TargetUnavailable, Exit.UNREACHABLE),
        (TargetError, Exit.FAILURE),
        (BadQuery, Exit.USAGE),
        (BadAddress, Exit.USAGE),
        (OutOfScope, Exit.NOT_FOUND),
        (StoreLocked, Exit.NOT_ALLOWED),
        (StoreUnavailable, Exit.UNREACHABLE),
        (StoreError, Exit.FAILURE),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def print_error(message: str) -> None:
    """Print what went wrong on stderr."""
    sys.stderr.write(f"surgecast: {message}\n")
