"""Whole jobs of the command line: from inputs to files and a report."""
