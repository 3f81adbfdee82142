"""How xdist distributes the checkpoints."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling


class RunbookScheduling(LoadScopeScheduling):
    """Gives each runbook to one worker, which runs it in document order.

    The checkpoints of a runbook build on each other: the verification needs the migration. xdist's own
    ``--dist loadgroup`` would do, but version 3.8 cannot name groups with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        """The folder of the runbook that a test stands in."""
        return nodeid.split("::", maxsplit=1)[0].rpartition("/")[0]
