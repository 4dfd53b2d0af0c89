"""`python -m ipt_tf`: the `ipt` command of the Python at hand."""

import sys

from ipt_tf.cli import main

sys.exit(main())
