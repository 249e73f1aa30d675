"""Metrics of a training: a file of JSON lines, and curves as a picture."""

import json
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Event = dict[str, Any]


class MetricsLog:
    """`metrics.jsonl`: one event a line, appended as it happens.

    Args:
        path: of the file.
        step: the step a run goes on from; later lines of a killed run are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept = [event for event in read_metrics(path) if event["step"] <= step] if step else []
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text("".join(json.dumps(event) + "\n" for event in kept))
        partial.replace(path)
        self._file = path.open("a")

    def write(self, event: Event) -> None:
        """Append one event."""
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path) -> list[Event]:
    """The events of a file; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events


def draw_curves(events: list[Event], path: Path) -> None:
    """Losses, held-out AP, learning rate and speed over the steps, as a PNG."""
    steps = [event for event in events if event["event"] == "step"]
    evaluations = [event for event in events if event["event"] == "evaluation"]
    with matplotlib.rc_context({"font.size": 8, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(10, 6), layout="constrained")
        FigureCanvasAgg(figure)
        losses, held_out, rate, speed = figure.subplots(2, 2).ravel()
        _lines(losses, steps, ["loss", *_names(steps, "loss_")], "losses (mean since last line)")
        names = [name for name in _names(evaluations, "") if name.endswith(("AP", "AP50"))]
        _lines(held_out, evaluations, names, "held-out images", marker="o")
        _lines(rate, steps, ["lr"], "learning rate")
        _lines(speed, steps, ["images_per_second"], "images a second")
        losses.set_ylim(bottom=0)
        held_out.set_ylim(0, 1)
        speed.set_ylim(bottom=0)
        partial = path.with_name(f".{path.name}.partial")
        figure.savefig(partial, format="png", dpi=110)
    partial.replace(path)


def _names(events: list[Event], prefix: str) -> list[str]:
    return sorted({name for event in events for name in event if name.startswith(prefix)})


def _lines(axes: Axes, events: list[Event], names: list[str], title: str, marker: str = "") -> None:
    axes.set_title(title)
    axes.set_xlabel("step")
    for name in names:
        points = [(event["step"], event[name]) for event in events if name in event]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, marker=marker, linewidth=1.2)
    if axes.lines:
        axes.legend(fontsize=7)
