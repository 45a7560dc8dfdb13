"""What looks wrong with data, input, output or the course of training.

Plain functions over text and numbers. Each finding is a sentence with a way out.
"""
