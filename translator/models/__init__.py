"""Models that read a source and write a target, and what training and search know of them."""
