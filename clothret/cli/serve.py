"""`clothret serve`: the search page and its HTTP API."""

import click

from clothret.cli.base import common_options, note, settings_for


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@common_options
def serve(host: str, port: int, lake: str | None, as_json: bool) -> None:
    """Serve the search page and its HTTP API until interrupted."""
    from clothret.web import serve as serve_app

    note(f"clothret: http://{host}:{port}")
    serve_app(settings_for(lake), host=host, port=port)
