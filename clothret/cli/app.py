"""The console script: lazy commands, one line per error, exit codes.

A command's module is imported only when the command is used, so that a query by garment id
never pays for torch or Prefect.
"""

import importlib
import logging
import os
import sys
from collections.abc import Sequence

import click

from clothret import __version__
from clothret.errors import ClothretError, InputError

COMMANDS = {
    "demo": "demo",
    "synth": "demo",
    "ingest": "pipeline",
    "train": "pipeline",
    "evaluate": "pipeline",
    "reindex": "pipeline",
    "segment": "pipeline",
    "features": "pipeline",
    "index": "pipeline",
    "predict": "predict",
    "query": "query",
    "catalog": "catalog",
    "model": "model",
    "lake": "lake",
    "plan": "plan",
    "serve": "serve",
    "up": "service",
    "down": "service",
}
"""Command → the module of `clothret.cli` that defines it, in the order of the help page."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"clothret.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clothret")
def cli() -> None:
    """Visual search for clothes that you own: by color, texture and shape."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with 0 done, 1 failed, 2 bad input or usage."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    _log_to_stderr()
    try:
        cli.main(args=arguments, prog_name="clothret", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message())
        return 0
    except click.Abort:
        return _fail("interrupted", 1)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except InputError as error:
        return _fail(str(error), 2)
    except ClothretError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        # The reader of our output left (`| head`): nothing is wrong, nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _log_to_stderr() -> None:
    """The library's own log; the root logger is left to Prefect, which configures it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("clothret")
    logger.handlers = [handler]
    logger.setLevel(os.environ.get("CLOTHRET_LOG_LEVEL", "WARNING").upper())
    logger.propagate = False


def _fail(message: str, code: int) -> int:
    click.echo(f"clothret: {' '.join(message.split())}", err=True)
    return code
