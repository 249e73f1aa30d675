"""What a failed run leaves: what happened, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from clothret import errors
from tasks.artifacts import artifact_key, in_run, publish_report
from tasks.markdown import code, document, escape

ADVICE: dict[type[Exception], str] = {
    errors.CatalogError: (
        "Look at where the catalog's pictures and table are (`clothret catalog ls`), and put them "
        "right: `clothret catalog add NAME --images FOLDER --items TABLE`."
    ),
    errors.DatasetError: (
        "Look at the archives and their password. A run of the worker sees the environment of "
        "`clothret up`: set the password there and call `clothret down` and `up`, or keep it in a "
        "Prefect Secret block and give its name as `password_secret`."
    ),
    errors.FilterError: "Put `where` right; the search page lists the columns and their values.",
    errors.ImageError: "Take another picture, or one that is smaller: JPEG, PNG, WebP and others.",
    errors.MaskError: "The garment is too small or empty: choose another, or give a `box`.",
    errors.NotFoundError: (
        "`clothret lake ls`, `clothret catalog ls` and `clothret model ls` say what is there. "
        "A run of the worker uses the lake of `clothret up` unless the parameter `lake` names one."
    ),
    errors.SettingsError: (
        "Put the setting right in the environment of `clothret up` or in `clothret.toml`, then "
        "`clothret down` and `clothret up`."
    ),
    errors.InputError: "Put the parameters right.",
    errors.ArtifactError: (
        "`clothret lake verify` names every file that is missing or damaged. Go back to the "
        "generation before with `clothret lake rollback CATALOG`; the next reindex writes anew "
        "what is missing."
    ),
    errors.LeaseError: (
        "Another run writes to the same place: wait until it has ended. The hold of one that died "
        "ends by itself within a minute."
    ),
    errors.ConflictError: "Another writer was first: running again is enough.",
    errors.StorageError: (
        "Look at the disk or the bucket: space, credentials, endpoint. Nothing that was finished "
        "is lost."
    ),
    errors.ReindexAbortedError: (
        "**Searches go on with the generation before.** If what the guard saw is an accident (an "
        "empty folder, a cut table), put the source right. If it is meant, publish all the same: "
        "`clothret reindex CATALOG --force`, or `-p catalog=CATALOG -p force=true` of "
        "`reindex/nightly`."
    ),
    errors.TrainingDivergedError: (
        "The loss became infinite. Lower the learning rate or begin with other weights; the last "
        "good checkpoint is kept. `docs/training.md` says what each preset does."
    ),
    errors.TrainingError: "The run's log has the reason. The last checkpoint is kept.",
}
"""By the kind of error, the closest kind first."""

UNFORESEEN = (
    "This was not foreseen: the run's log has the traceback. `clothret lake verify` says whether "
    "the lake is sound."
)


@contextmanager
def explained(what: str, command: str, *key: str) -> Iterator[None]:
    """If the work within fails, leave a report on it; the error goes on.

    Args:
        what: failed, e.g. "reindex of shop".
        command: does the same again from a terminal.
        key: parts of the artifact's key.
    """
    try:
        yield
    except Exception as error:
        report = failure_markdown(error, what, command)
        if in_run():
            get_run_logger().error("What to do: %s Then: %s", advice(error), command)
        publish_report(report, artifact_key("failed", *key), f"{what} failed: what to do")
        raise


def failure_markdown(error: Exception, what: str, command: str) -> str:
    """What happened, and what to do, for people."""
    return document(
        f"# {what[:1].upper()}{what[1:]} failed",
        f"**{type(error).__name__}**: {escape(str(error) or 'no message')}",
        "## What to do",
        advice(error),
        "Then **Retry** the run (it keeps its parameters), or on the machine:",
        code(command),
        "Running again is safe: what was finished is kept and not done twice, and nothing "
        "half-done is ever visible.",
    )


def advice(error: Exception) -> str:
    """What helps against an error of this kind."""
    kinds = [kind for kind in type(error).__mro__ if kind in ADVICE]
    return ADVICE[kinds[0]] if kinds else UNFORESEEN
