"""The commands: each is parsed in `app`, and is a plain function in a module of its own."""

from translator.cli.streams import reserve_closed

reserve_closed()
