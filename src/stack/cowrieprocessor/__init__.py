"""The session database of cowrieprocessor: generated content, and the tools of its snapshot runbook.

The tools (``python -m stack.cowrieprocessor --help``) do what the runbook's scripts are meant to do:

* ``migrate`` and ``rollback-schema``: `stack.cowrieprocessor.migration`;
* ``backfill``: `stack.cowrieprocessor.backfill`, what it fills: `stack.cowrieprocessor.fillable`;
* ``rollback-backfill``: `stack.cowrieprocessor.undo`;
* ``reset``: `stack.cowrieprocessor.lifecycle`.
"""

from stack.cowrieprocessor.lifecycle import create, release, typical_addresses

__all__ = ["create", "release", "typical_addresses"]
