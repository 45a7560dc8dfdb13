"""From text to batches: corpus → tokenizer → store → batches."""
