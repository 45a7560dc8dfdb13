"""Training: loss, optimizer, train step, checkpoints, and the trainer around them."""
