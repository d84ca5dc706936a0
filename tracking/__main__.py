"""``python -m tracking`` is the command line ``tracking``."""

from __future__ import annotations

import sys

from tracking.cli import main

if __name__ == "__main__":
    sys.exit(main())
