"""Running a flow from the command line: the same functions that the deployments run.

With `clothret up` the run is recorded on its server and shown in the UI; without it a temporary
server is started that ends with the command (about eight seconds).
"""

import importlib
import os
from typing import Any

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The run's log goes to the server; the terminal gets progress bars and one line per error.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # The temporary server prints harmless tracebacks when it is closed.
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def run_flow(name: str, /, **parameters: Any) -> dict[str, Any]:
    """Run `flows.<name>.<name>` in this process and return what it returns."""
    prepare_prefect()
    module = importlib.import_module(f"flows.{name}")
    result: dict[str, Any] = getattr(module, name)(**parameters)
    return result


def prepare_prefect() -> None:
    """Set Prefect up for a terminal; must come before the first import of Prefect."""
    from flows.service import remove_prefect_toml, running_api
    from tasks.temporary import start_temporary_server

    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    if "PREFECT_API_URL" in os.environ:
        return
    api = running_api()
    if api is None:
        remove_prefect_toml()
        start_temporary_server()
    else:
        os.environ["PREFECT_API_URL"] = api
