# SPDX-License-Identifier: Apache-2.0
"""Experiments, one question a file; `launch` runs them."""
