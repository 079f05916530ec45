"""The course of a training as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from aix_lsp.files import replaced_file


def loss_plot(
    path: Path, training: Sequence[tuple[int, float]], held_out: Sequence[tuple[int, float]], *, title: str
) -> None:
    """Draw losses (nats) over steps as a PNG; the best held-out one is marked. Whole or not there at all.

    Needs no display. Raises OSError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if training:
        axes.plot(*zip(*training, strict=True), color="tab:blue", linewidth=1.2, label="training (weighted)")
    if held_out:
        axes.plot(
            *zip(*held_out, strict=True), color="tab:orange", marker="o", markersize=3, label="held out (answers)"
        )
        step, loss = min(held_out, key=lambda entry: entry[1])
        axes.plot([step], [loss], color="tab:orange", marker="*", markersize=12)
        axes.annotate(f"{loss:.3f}", (step, loss), textcoords="offset points", xytext=(6, 6))
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    if training or held_out:
        axes.legend()
    content = io.BytesIO()
    # Without the library's version and the time, the same losses give the same file.
    figure.savefig(content, format="png", metadata={"Software": None})
    with replaced_file(path) as file:
        file.write(content.getvalue())
