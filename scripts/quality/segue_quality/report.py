"""What a protocol leaves for people: a Markdown table and an SVG with the published figures beside ours."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

BAR, NAME, PANEL = 18, 250, 330
COLOURS = {"published": "#999", "baseline": "#69b", "ablation": "#8c8", "ours": "#c33"}


@dataclass
class Row:
    """One model: `runs` maps a metric to its value a run; a published figure has one value."""

    name: str
    kind: str
    runs: dict[str, list[float]] = field(default_factory=dict)

    def add(self, values: dict[str, float]) -> None:
        """Notes the values of one more run."""
        for metric, value in values.items():
            self.runs.setdefault(metric, []).append(value)


class Rows:
    """The models of a protocol in the order in which they first came."""

    def __init__(self, published: dict[str, dict[str, float]]) -> None:
        self.rows = {name: Row(name, "published", {m: [v] for m, v in values.items()})
                     for name, values in published.items()}

    def add(self, kind: str, name: str, values: dict[str, float]) -> None:
        """Notes one run of the model `name`."""
        self.rows.setdefault(name, Row(name, kind)).add(values)

    def table(self, metrics: list[str]) -> str:
        """Returns Markdown: the mean over the runs and their standard deviation; the best mean of a column is bold."""
        top = {m: max(np.mean(r.runs[m]) for r in self.rows.values() if m in r.runs) for m in metrics}
        lines = ["| model | | " + " | ".join(metrics) + " |", "|---|---|" + "---|" * len(metrics)]
        for row in self.rows.values():
            cells = [_cell(row.runs.get(m, []), top[m]) for m in metrics]
            lines.append(f"| {row.name} | {row.kind} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def figure(self, path: Path, title: str, metrics: list[str]) -> None:
        """Writes one panel of bars a metric; a thin line spans the least and the greatest run."""
        height = 50 + BAR * len(self.rows)
        body = "".join(self._panel(m, NAME + at * PANEL) for at, m in enumerate(metrics))
        names = "".join(f'<text x="{NAME - 8}" y="{52 + BAR * at}" text-anchor="end">{escape(row.name)}</text>'
                        for at, row in enumerate(self.rows.values()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAME + PANEL * len(metrics)}" height="{height}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="8" y="16" font-size="13">{escape(title)}</text>{names}{body}</svg>\n')

    def _panel(self, metric: str, left: int) -> str:
        """Returns the bars of one metric, from just under the least value so that differences show."""
        known = [v for row in self.rows.values() for v in row.runs.get(metric, [])]
        low = max(0.0, min(known) - 0.1 * (max(known) - min(known)))
        scale = (PANEL - 70) / (max(known) - low or 1)
        parts = [f'<text x="{left}" y="34">{escape(metric)}, from {low:.3f}</text>']
        for at, row in enumerate(self.rows.values()):
            values = row.runs.get(metric)
            if not values:
                continue
            top, width = 41 + BAR * at, (np.mean(values) - low) * scale
            ends = [left + (v - low) * scale for v in (min(values), max(values))]
            parts.append(
                f'<rect x="{left}" y="{top}" width="{width:.1f}" height="{BAR - 5}" fill="{COLOURS[row.kind]}"/>'
                f'<path d="M{ends[0]:.1f} {top + 6.5}H{ends[1]:.1f}" stroke="black"/>'
                f'<text x="{ends[1] + 4:.1f}" y="{top + 11}">{np.mean(values):.4f}</text>')
        return "".join(parts)


def _cell(values: list[float], top: float) -> str:
    if not values:
        return ""
    text = f"{np.mean(values):.4f}"
    text = f"**{text}**" if np.mean(values) >= top else text
    return text + (f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else "")
