"""The exceptions we raise on purpose, by what follows from them.

    RefineError                 one line: the offending value and the fix
    ├── ConfigError             a wrong key, type or value, a missing model or list: nothing starts
    ├── InputError              an input is missing, empty, or not what it is said to be: nothing starts
    ├── ShardError              one shard could not be made: the others go on, the run ends non-zero with a list
    ├── GuardError              complete counts say that this would delete the corpus, or fill the disk: the run stops
    └── IntegrityError          what is on disk is not what its receipt or manifest says: nothing is built on it

A broken *document* raises none of these: it is a reason in the ledger.
"""


class RefineError(Exception):
    """Base of everything below; `exit_code` is what the `refine` command ends with."""

    exit_code = 1


class ConfigError(RefineError):
    exit_code = 2


class InputError(RefineError):
    exit_code = 3


class ShardError(RefineError):
    exit_code = 4


class GuardError(RefineError):
    exit_code = 5


class IntegrityError(RefineError):
    exit_code = 6
