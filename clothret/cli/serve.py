"""`clothret serve`: the search page and its HTTP API."""

import click

from clothret.cli.base import common_options, note, settings_for


@click.command()
@click.option("--host", help="Address to listen on.  [default: web.host, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: web.port, 8000]")
@common_options
def serve(host: str | None, port: int | None, lake: str | None, as_json: bool) -> None:
    """Serve the search page and its HTTP API until interrupted."""
    from clothret.web import serve as serve_app

    settings = settings_for(lake)
    address = host or settings.web.host
    note(f"clothret: http://{address}:{settings.web.port if port is None else port}")
    serve_app(settings, host=host, port=port)
