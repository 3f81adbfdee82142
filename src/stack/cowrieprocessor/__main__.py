"""``python -m stack.cowrieprocessor``."""

import sys

from stack.cowrieprocessor.cli import main

sys.exit(main())
