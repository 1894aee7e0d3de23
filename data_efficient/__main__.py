# SPDX-License-Identifier: Apache-2.0
"""`python -m data_efficient VERB`."""

import sys

from data_efficient import main

if __name__ == "__main__":
  sys.exit(main.main())
