"""The command line: `clothret COMMAND`."""

from clothret.cli.app import main

__all__ = ["main"]
