# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config."""
