"""``mrpose export``: what is written, how it is compared, and the job of both."""
