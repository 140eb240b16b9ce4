"""`python -m kattn.cli`: the command line."""

import sys

from kattn.cli.main import main

sys.exit(main())
