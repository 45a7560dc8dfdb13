"""The parts of a model, each a plain function first and a Keras layer second.

Layers keep no random state: dropout needs a seed as an argument, and without a seed there is none.
"""
