"""Handles: how a test reaches the components of a system, within what its access allows."""
