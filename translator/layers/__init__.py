"""The parts of a model, each a plain function first and a Keras layer second.

Layers keep no random state: whoever wants dropout passes a seed down, and no seed means none.
"""
