"""How good poses are: published protocols, figures, what goes wrong, and reports of it."""
