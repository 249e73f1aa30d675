"""What each flow leaves to read, as Markdown: pure functions of what it returned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.markdown import code, document, escape, picture, section, table

Result = Mapping[str, Any]
Pictures = Sequence[tuple[Path, str]]

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
SHOWN_ROWS = 30

DRIFT = {
    "garments_per_image": "garments per image",
    "detection_score": "detection score, mean",
    "quality_confidence": "quality, mean",
}


def ingest_markdown(result: Result, rejected: Sequence[Result]) -> str:
    """A dataset: counts by split, and why garments were left out.

    Args:
        rejected: rows of split, reason, count.
    """
    state = "unchanged: found as it was" if result["cached"] else f"new, {result['seconds']:.1f} s"
    splits = result["splits"].items()
    name = result["dataset"]
    return document(
        f"# Dataset {escape(name)}",
        f"Version **{result['version']}** ({state})",
        table({"split": split, **counts} for split, counts in splits),
        *section("Left out", table(rejected)),
        *section("Next", code(f"clothret train --dataset {name}")),
    )


def train_markdown(result: Result, dataset: str, pictures: Pictures) -> str:
    """A training: its best figures, curves, what the model sees."""
    epochs = f"{result['epochs']:g} {'epoch' if result['epochs'] == 1 else 'epochs'}"
    speed = f"{epochs}, {result['images_per_second']:.1f} images a second"
    model = result["model"]
    return document(
        f"# Model {model}",
        f"Trained on **{escape(dataset)}**: {speed}; run `{result['run']}`.",
        *section("Best on held-out images", table([result["best"]])),
        *[picture(path, title) for path, title in pictures],
        *section(
            "Next",
            "The model is not used yet. Measure it, and make it current if it is no worse:",
            code(f"clothret evaluate --model {model} --dataset {dataset} --promote"),
        ),
    )


def evaluate_markdown(result: Result, current: Result | None, pictures: Pictures) -> str:
    """An evaluation: figures, beside those of the current model, and pictures.

    Args:
        current: what was recorded of the current model on the same split, if it is another.
    """
    model = result["model"]
    where = f"{escape(result['dataset'])}, split {escape(result['split'])}"
    categories = [
        {"category": name, "garments": values["garments"]}
        | {f"{kind} AP": _known(values[kind].get("AP")) for kind in ("bbox", "segm")}
        for name, values in result["per_category"].items()
    ]
    said = result.get("promotion")
    return document(
        f"# Evaluation of {model}",
        f"On {where}. " + (f"**{escape(said)}**" if said else "Not promoted: not asked for."),
        table(figures(result)),
        *section("Beside the current model", table(comparison(result, current))),
        *section("By category", table(categories) if len(categories) > 1 else ""),
        *section("Consumer to shop", table(retrieval(result))),
        *[picture(path, title) for path, title in pictures],
    )


def figures(result: Result) -> list[dict[str, Any]]:
    """COCO figures, a row for boxes and masks, with the model's categories and without."""
    return [
        {"kind": f"{scheme}{kind}"} | {name: _known(block[kind].get(name)) for name in FIGURES}
        for scheme, block in (("", result), ("binary ", result["binary"]))
        for kind in ("bbox", "segm")
    ]


def _known(figure: float | None) -> float | None:
    """COCO writes −1 where there was nothing to measure."""
    return None if figure is None or figure < 0 else figure


def comparison(result: Result, current: Result | None) -> list[dict[str, Any]]:
    """Binary AP of a model and of the current one; [] where there is no other."""
    if current is None or current["model"] == result["model"]:
        return []
    rows = []
    for kind in ("bbox", "segm"):
        new, old = (float(one["binary"][kind]["AP"]) for one in (result, current))
        state = "current until now" if result.get("promoted") else "current"
        names = {result["model"]: new, f"{current['model']} ({state})": old}
        rows.append({"binary": f"{kind} AP", **names, "difference": f"{new - old:+.3f}"})
    return rows


def retrieval(result: Result) -> list[dict[str, Any]]:
    """Top-k accuracies, a row per way of finding the garment."""
    found = result.get("retrieval") or {}
    return [
        {"boxes": name.replace("_", " "), **block}
        for name, block in found.items()
        if isinstance(block, Mapping)
    ]


def stage_markdown(report: Result) -> str:
    """A stage alone: what it found and did."""
    catalog = escape(report["catalog"])
    return document(
        f"# {report['stage'].capitalize()} of {catalog}",
        f"{report['pictures']:,} pictures to do, {report['decoded']:,} decoded, "
        f"{report['seconds']:.1f} s. Nothing is published yet.",
        table([report["images"]]),
        *failures_section(report.get("failures", [])),
        *section("Next", code(_next_stage(report))),
    )


def _next_stage(report: Result) -> str:
    following = {"segment": "features", "features": "index"}
    return f"clothret {following[report['stage']]} {report['catalog']}"


def reindex_markdown(report: Result, pictures: Pictures = ()) -> str:
    """A night of a catalog: what changed, what failed, how the new generation differs."""
    state = "published" if report["published"] else "unchanged, nothing published"
    catalog = report["catalog"]
    again = ["They are tried again by the next run."] if report["failures"] else []
    return document(
        f"# Reindex of {escape(catalog)}",
        f"Generation **{report['generation']}** ({state})",
        table([report["images"] | {"decoded": report["decoded"]}]),
        "\n".join(_facts(report)),
        *failures_section(report["failures"], report["images"]["failed"]),
        *again,
        *section("Drift", table(drift_rows(report["drift"])) if report["drift"] else ""),
        *section("Samples", *[picture(path, title) for path, title in pictures]),
        *section("If it looks wrong", code(f"clothret lake rollback {catalog}")),
    )


def _facts(report: Result) -> list[str]:
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report["stages"].items())
    lines = [
        f"- garments: {report['garments']:,} in {report['segments']} segments",
        f"- metadata rows new or changed: {report['metadata_rows']:,}",
        f"- time: {report['seconds']:.1f} s ({stages})",
    ]
    if report["dropped"]:
        lines.append(f"- garments too small to describe: {report['dropped']:,}")
    if report["recall"] is not None:
        lines.append(f"- recall of the index against exact search: {report['recall']:.3f}")
    return lines


def drift_rows(drift: Result) -> list[dict[str, Any]]:
    """Means before and after; for colors and vectors one figure of how far they moved."""
    rows = [
        {"figure": words, "before": drift[name][0], "after": drift[name][1], "moved": None}
        for name, words in DRIFT.items()
        if name in drift
    ]
    moved = {"garments that changed their color name": drift.get("color_names")}
    cosines = drift.get("mean_cosine") or {}
    moved |= {f"mean {name}, 1 − cosine": _distance(cosine) for name, cosine in cosines.items()}
    return rows + [
        {"figure": words, "before": None, "after": None, "moved": value}
        for words, value in moved.items()
    ]


def _distance(cosine: float | None) -> float | None:
    return None if cosine is None else max(0.0, 1.0 - cosine)


def failures_section(failures: Sequence[Result], count: int | None = None) -> Sequence[str]:
    """The first failed pictures with their reasons."""
    count = len(failures) if count is None else count
    shown = failures[:SHOWN_ROWS]
    lines = [
        f"- **{escape(row['item_id'])}**, {escape(row['image'])}: "
        + escape(row["reason"].removeprefix(f"{row['image']}: "))
        for row in shown
    ]
    more = f"{count - len(shown):,} more." if count > len(shown) else ""
    noun = "picture" if count == 1 else "pictures"
    return section(f"{count:,} {noun} failed", "\n".join(lines), more)


def query_markdown(answer: Result, sheet: Path | None) -> str:
    """A query: what was asked, the hits and their scores, drawn."""
    weights = ", ".join(f"{name} {value:g}" for name, value in answer["weights"].items())
    rows = [
        {name: hit[name] for name in ("item_id", "score", "color", "texture", "shape")}
        | {name: value for name, value in hit["metadata"].items() if not isinstance(value, list)}
        for hit in answer["hits"]
    ]
    where = f", where {escape(answer['where'])}" if answer.get("where") else ""
    return document(
        f"# Look-alikes in {escape(answer['catalog'])}",
        f"Weights: {weights}{where}; generation {answer['generation']}.",
        f"> {escape(answer['note'])}" if answer.get("note") else "",
        picture(sheet, "the query and its hits") if sheet is not None else "",
        table(rows),
    )
