"""Encoder-decoders: what training and search know of a model, and the models themselves."""
