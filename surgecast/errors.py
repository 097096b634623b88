"""What a command can end in, and with which exit code (part of the command-line contract)."""

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
