# SPDX-License-Identifier: Apache-2.0
"""Choosing the data that large language models are trained on.

Start reading at `data_efficient/main.py`.
"""

__version__ = "0.1.0"
