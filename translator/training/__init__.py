"""How a model learns: loss, optimizer, step, checkpoints, and the loop around them."""
