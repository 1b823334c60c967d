"""Detectors held against generated answers of which the truth is known: generator, run, measures."""
