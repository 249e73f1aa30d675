"""`clothret up` and `clothret down`: Prefect's server and worker, as one thing."""

import click

from clothret.cli.base import common_options, emit, settings_for


@click.command()
@click.option("--port", default=4200, show_default=True, help="Port of Prefect's server and UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it listens on.")
@common_options
def up(port: int, host: str, lake: str | None, as_json: bool) -> None:
    """Start Prefect (server, worker, limits, automations) and deploy every flow.

    Safe to run again: what runs already is kept, what is missing is started.
    """
    from flows.service import start

    settings = settings_for(lake)
    status = start(settings, host=host, port=port)

    def people() -> None:
        click.echo(f"lake         {status['lake']}")
        click.echo(f"deployments  {', '.join(status['deployments'])}")
        click.echo("run one      prefect deployment run reindex/nightly")
        click.echo("")
        click.echo(f"Prefect      {status['ui']}")
        page = f"http://{settings.web.host}:{settings.web.port}"
        click.echo(f"search page  {page}, once `clothret serve --lake {status['lake']}` runs")

    emit(status, as_json, people)


@click.command()
@common_options
def down(lake: str | None, as_json: bool) -> None:
    """Stop the server and the worker that `clothret up` started."""
    from flows.service import stop

    status = stop()
    emit(
        status,
        as_json,
        lambda: click.echo("stopped " + (", ".join(status["stopped"]) or "nothing")),
    )
