"""The local deployment that ``--env local`` boots: PostgreSQL, its standby, and both databases."""
