"""``python -m stack.cowrieprocessor``: what concerns the process as a whole, and the command line."""

import logging
import signal
import sys

from stack.cowrieprocessor.cli import main

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
# A supervisor's SIGTERM ends a batch as Ctrl-C does: rolled back and recorded.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
