"""Comparisons of selections of instructions: figures, and their report."""
