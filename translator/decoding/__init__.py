"""Beam search over a step function; sentences in, sentences out."""
