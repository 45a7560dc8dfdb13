"""The command line: it parses commands, draws progress and words errors, and nothing else."""

from translator.cli.streams import reserve_closed

reserve_closed()
