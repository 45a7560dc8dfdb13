"""The commands. Each parses in `app`, and is a plain function of the same name in its own module."""
