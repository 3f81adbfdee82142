"""The local deployment that ``--env local`` boots: PostgreSQL with a streaming standby, and both databases."""
