"""Runbooks: Markdown documents that are the inventory of what must be tested.

A runbook is ``tests/<name>/runbook.md``. Its front matter names the system, the owner, the roles that
sign, and what an environment profile may or must say about the system. ``##`` headings with an id are
stages; every checkbox line below one is a checkpoint::

    ## Migration {#migration .transitional}

    - [ ] **SEC-021** The migration applies without an error. {.rollback covers="SEC-045"}
"""

from signoff.runbook.model import Block, Checkpoint, Runbook, Setting, Stage
from signoff.runbook.parser import load_runbook, load_runbooks

__all__ = ["Block", "Checkpoint", "Runbook", "Setting", "Stage", "load_runbook", "load_runbooks"]
