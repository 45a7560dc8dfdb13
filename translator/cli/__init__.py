"""The command line: it only parses commands, draws progress and prints results and errors."""

from translator.cli.streams import reserve_closed

reserve_closed()
