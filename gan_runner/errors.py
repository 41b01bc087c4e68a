"""Refusals that speak to the user: one line, one exit code, never a traceback.

Every error a user can cause is a `Fault`. The command line prints `str(fault)` and exits with `fault.code`:
`gan_runner: error[F61]: optimizer.lr=-1 is not positive; kept: nothing was created; fix: choose a number above 0`.
"""


class Fault(Exception):
    """Something the user can put right: what happened, what is safe, how to go on.

    Args:
        what: the cause, naming the key or the file.
        fix: what to do about it.
        kept: what is preserved.
        id: the fault's number in the documentation, such as "F50".
    """

    code = 1

    def __init__(self, what: str, fix: str, *, kept: str = "nothing was created", id: str = "F00"):
        super().__init__(what)
        self.what, self.fix, self.kept, self.id = what, fix, kept, id

    def __str__(self) -> str:
        line = f"gan_runner: error[{self.id}]: {self.what}; kept: {self.kept}; fix: {self.fix}"
        return " ".join(line.split())


class UsageError(Fault):
    """The command line or a configuration file is wrong; found before anything is created."""

    code = 2


class DataError(Fault):
    """The data cannot be used as it is."""

    code = 65


class MissingInput(Fault):
    """A data set, a run folder or a checkpoint is not there, or does not fit."""

    code = 66


class Unavailable(Fault):
    """The device, its memory or an optional package is not available."""

    code = 69


class CannotCreate(Fault):
    """The run folder is locked by another run or cannot be written."""

    code = 73


class StorageError(Fault):
    """The disk is full, read-only or failing."""

    code = 74


class Unsafe(Fault):
    """Refused for safety: code or paths that no configuration file may name."""

    code = 77


class Diverged(Fault):
    """A loss, a weight or a buffer is no longer finite, or an alarm sounded whose policy is not to go on.

    Args:
        right: the last step that a rollback may go back to; -1 for none.
    """

    code = 79

    def __init__(self, what: str, fix: str, *, kept: str, id: str, right: int):
        super().__init__(what, fix, kept=kept, id=id)
        self.right = right
