"""`python -m cryomix` is `cryomix`."""

import sys

from cryomix.cli import main

sys.exit(main())
