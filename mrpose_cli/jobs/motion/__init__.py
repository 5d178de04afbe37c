"""From results of clips to files of movement."""
