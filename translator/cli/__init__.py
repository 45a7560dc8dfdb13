"""The commands: each is parsed in `app`, and is a plain function in a module of its own."""
