"""Checkpoints: what each one is and expects (the manifest), and getting it onto this machine (the store)."""
