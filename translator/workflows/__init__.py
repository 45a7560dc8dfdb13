"""What the commands do, one plain function each. They are the Python API.

They report to the logger "translator" and through what they return. Nothing here writes to a
terminal.
"""
