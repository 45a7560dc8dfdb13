"""Where sentence pairs come from: one file for each kind of corpus, and `registry` with them all.

A kind is a class. Its fields are the keys that a user writes, its methods find and read the text.
To add one, write a file with its class and add a line to `registry.CORPORA`.
"""
