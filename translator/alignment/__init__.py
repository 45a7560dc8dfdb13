"""Which word translates which, read from attention and from words that occur together."""
