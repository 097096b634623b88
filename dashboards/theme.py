"""Design tokens, and what is made of them: style sheet variables, Plotly templates, palettes.

Colours are written here once. The style sheet gets them as custom properties, figures name them as
`@token` (or `@token/0.2` for a translucent one) and the browser puts in the value of the scheme in
force, so that switching between light and dark needs no server.

Both schemes keep text at a contrast of 4.5:1 or more and marks at 3:1 or more, and the band palette
stays apart under deuteranopia, protanopia and tritanopia; tests hold that.
"""

from enum import StrEnum
from typing import Any

from telephony.model import Outcome


class Scheme(StrEnum):
    """The two colour schemes."""

    LIGHT = "light"
    DARK = "dark"


FONT = "'Inter Variable', Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'Roboto Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"

TEXT_TOKENS = ("text", "text-2", "text-3", "accent-text", "ok-text", "warn-text", "bad-text")
"""Colours text is written in: 4.5:1 on `surface`, `surface-2` and `page`."""
MARK_TOKENS = (
    *(f"band-{letter}" for letter in "abcdef"),
    "line-1",
    "line-2",
    "line-3",
    "line-4",
    *(f"outcome-{outcome.value.replace('_', '-')}" for outcome in Outcome),
)
"""Colours marks are drawn in: 3:1 on `surface`."""
BAND_TOKENS = tuple(f"band-{letter}" for letter in "abcdef")

TOKENS: dict[Scheme, dict[str, str]] = {
    Scheme.DARK: {
        "page": "#0a0f16",
        "surface": "#111923",
        "surface-2": "#182330",
        "surface-3": "#213042",
        "border": "#223044",
        "border-strong": "#3a4d66",
        "grid": "#1d2937",
        "text": "#e8eef6",
        "text-2": "#a9b8ca",
        "text-3": "#8798ad",
        "accent": "#38bdf8",
        "accent-text": "#5cc8fa",
        "accent-soft": "#10344a",
        "on-accent": "#04131d",
        "ok-text": "#4fd1b0",
        "ok-soft": "#0f332f",
        "warn-text": "#f7c552",
        "warn-soft": "#3a2d10",
        "bad-text": "#ff8a9c",
        "bad-soft": "#421a26",
        "band-a": "#2f7de1",
        "band-b": "#41c7d9",
        "band-c": "#b9e3a1",
        "band-d": "#ffd75e",
        "band-e": "#f08a3e",
        "band-f": "#d6336c",
        "line-1": "#38bdf8",
        "line-2": "#f7a64a",
        "line-3": "#b79cff",
        "line-4": "#58d6a9",
        "outcome-answered": "#3487e6",
        "outcome-busy": "#8fa3ba",
        "outcome-no-answer": "#b9c7d8",
        "outcome-abandoned": "#6f849d",
        "outcome-rejected": "#b79cff",
        "outcome-redirected": "#52c7c0",
        "outcome-challenged": "#8f7fe6",
        "outcome-client-error": "#ffd75e",
        "outcome-no-facility": "#f08a3e",
        "outcome-timeout": "#e0457b",
        "shadow": "0 1px 2px rgba(0, 0, 0, .5), 0 8px 24px -12px rgba(0, 0, 0, .6)",
    },
    Scheme.LIGHT: {
        "page": "#f3f5f9",
        "surface": "#ffffff",
        "surface-2": "#f6f8fb",
        "surface-3": "#e9eef5",
        "border": "#dde4ed",
        "border-strong": "#b9c5d4",
        "grid": "#e9eef4",
        "text": "#0f1b2a",
        "text-2": "#3d4e63",
        "text-3": "#586a80",
        "accent": "#0b6bcb",
        "accent-text": "#0a5cb0",
        "accent-soft": "#e1effc",
        "on-accent": "#ffffff",
        "ok-text": "#0b6e55",
        "ok-soft": "#def5ee",
        "warn-text": "#855b00",
        "warn-soft": "#fdf2d3",
        "bad-text": "#b0183f",
        "bad-soft": "#fde6ec",
        "band-a": "#123f9c",
        "band-b": "#2b87d1",
        "band-c": "#3a9f7a",
        "band-d": "#b28a00",
        "band-e": "#b0390a",
        "band-f": "#5e0a3a",
        "line-1": "#0b6bcb",
        "line-2": "#b8560b",
        "line-3": "#6d4bc9",
        "line-4": "#12805f",
        "outcome-answered": "#2f7fd6",
        "outcome-busy": "#8290a1",
        "outcome-no-answer": "#66768a",
        "outcome-abandoned": "#4a5a6e",
        "outcome-rejected": "#7c5cd6",
        "outcome-redirected": "#178a86",
        "outcome-challenged": "#5a3fae",
        "outcome-client-error": "#a98300",
        "outcome-no-facility": "#c2500f",
        "outcome-timeout": "#a3164f",
        "shadow": "0 1px 2px rgba(16, 32, 56, .06), 0 8px 24px -16px rgba(16, 32, 56, .25)",
    },
}


def outcome_token(outcome: Outcome) -> str:
    """Return the name of an outcome's colour, as figures refer to it."""
    return f"@outcome-{outcome.value.replace('_', '-')}"


def stylesheet() -> str:
    """Return the tokens as custom properties: light by default, dark where the root element says so."""
    fonts = f"  --font: {FONT};\n  --mono: {MONO};\n"
    blocks = []
    for scheme, selector in (
        (Scheme.LIGHT, ":root"),
        (Scheme.DARK, ':root[data-mantine-color-scheme="dark"]'),
    ):
        values = "".join(f"  --{name}: {value};\n" for name, value in TOKENS[scheme].items())
        blocks.append(f"{selector} {{\n  color-scheme: {scheme.value};\n{fonts}{values}}}\n")
    # Paper is white, whatever the screen was: the light block again, for the dark scheme too.
    light = blocks[0].replace(":root {", ':root, :root[data-mantine-color-scheme="dark"] {', 1)
    return "".join((*blocks, f"@media print {{\n{light}}}\n"))


def plotly_template(scheme: Scheme) -> dict[str, Any]:
    """Return the Plotly template of a scheme; figures carry no colours of their own but `@token` names."""
    token = TOKENS[scheme]
    axis: dict[str, Any] = {
        "gridcolor": token["grid"],
        "linecolor": token["border-strong"],
        "zerolinecolor": token["border"],
        "tickcolor": token["border-strong"],
        "tickfont": {"color": token["text-3"], "size": 11},
        "title": {"font": {"color": token["text-3"], "size": 11}, "standoff": 8},
        "automargin": True,
    }
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12, "color": token["text-2"]},
            "colorway": [token[f"line-{i}"] for i in range(1, 5)],
            "xaxis": axis | {"showgrid": False, "ticks": "outside", "ticklen": 4},
            "yaxis": axis | {"showline": False, "zeroline": False},
            "legend": {"font": {"color": token["text-2"], "size": 11}, "bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {
                "bgcolor": token["surface-3"],
                "bordercolor": token["border-strong"],
                "font": {"color": token["text"], "family": FONT, "size": 12},
            },
            "modebar": {"color": token["text-3"], "activecolor": token["accent"], "bgcolor": "rgba(0,0,0,0)"},
        }
    }


def browser_theme() -> dict[str, Any]:
    """Return what the browser needs to colour figures by itself: tokens and template of each scheme."""
    return {s.value: {"tokens": TOKENS[s], "template": plotly_template(s)} for s in Scheme}
