"""Wires the suite to Signoff."""

pytest_plugins = ["signoff.plugin"]
