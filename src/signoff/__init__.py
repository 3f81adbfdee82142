"""Runbooks as a pytest verification suite."""

import pytest

from signoff.statistics import Proportion, Ratio

__all__ = ["Proportion", "Ratio", "checkpoint"]

checkpoint = pytest.mark.checkpoint
"""``@checkpoint("SEC-021")``: the checkpoint that a test verifies."""
