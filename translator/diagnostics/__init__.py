"""What looks wrong with the input, in sentences that each say what to do."""
