"""What the commands do, one plain function each. They are the Python API.

They log to the logger "translator", and return results. Nothing here writes to a terminal.
"""
