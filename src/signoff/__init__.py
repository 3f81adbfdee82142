"""Runbooks as a pytest verification suite."""

import pytest

from signoff.statistics import Proportion, Ratio

__all__ = ["Proportion", "Ratio", "checkpoint"]


def checkpoint(id_: str) -> pytest.MarkDecorator:
    """Name the checkpoint that a test verifies: ``@checkpoint("SEC-021")``."""
    return pytest.mark.checkpoint(id_)
