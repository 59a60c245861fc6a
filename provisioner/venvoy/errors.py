"""Everything venvoy raises on purpose, each kind with its exit code.

| exit code | kind |
|---|---|
| 1 | `VenvoyError` and whatever has no code of its own; `check` found something; `diff` or `status` sees a difference |
| 2 | a wrong word on the command line |
| 3 | `EnvironmentNotFound` |
| 4 | `EnvironmentExists` |
| 5 | `InvalidInput`: a file or a value that cannot be read as what it should be |
| 6 | `RuntimeUnavailable`: an interpreter, a runtime or a program is not on this machine |
| 7 | `CommandFailed`: a program that we started failed |
| 8 | `KernelUnusable`: the environment cannot run a kernel as it is |
| 9 | `NotPermitted`: the administrator's policy forbids it |
"""

from __future__ import annotations


class VenvoyError(Exception):
    """Base class. The message says what failed; the hint says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class EnvironmentNotFound(VenvoyError):
    """No environment goes by that name."""

    exit_code = 3


class EnvironmentExists(VenvoyError):
    """The name or the folder is already taken."""

    exit_code = 4


class InvalidInput(VenvoyError):
    """A file or a value is not what it should be; the message says where."""

    exit_code = 5


class RuntimeUnavailable(VenvoyError):
    """The interpreter or program that should run the environment is not on this machine."""

    exit_code = 6


class CommandFailed(VenvoyError):
    """A program that we started exited with an error; the hint carries its last words.

    `code` is what the program exited with, -n for death by signal n, 0 where it was not the exit that failed.
    """

    exit_code = 7

    def __init__(self, message: str, *, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class KernelUnusable(VenvoyError):
    """The environment cannot run a kernel as it is."""

    exit_code = 8


class NotPermitted(VenvoyError):
    """The administrator's policy forbids it."""

    exit_code = 9
