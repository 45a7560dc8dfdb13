"""From sentence pairs to batches: corpus → tokenizer → store → batches."""
