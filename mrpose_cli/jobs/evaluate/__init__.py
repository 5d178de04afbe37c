"""``mrpose eval``: a data set in, a report out."""
