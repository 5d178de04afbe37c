"""``mrpose view``: results as a page, served on this machine or written to a file."""
