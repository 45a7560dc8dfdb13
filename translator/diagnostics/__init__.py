"""What looks wrong with data, input, output or training: sentences, each with a way out."""
