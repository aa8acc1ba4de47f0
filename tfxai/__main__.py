"""`python -m tfxai` is `tfxai`."""

import sys

from tfxai.cli import main

sys.exit(main())
