"""Contrast (WCAG 2.2) and colour-vision safety of the design tokens."""

from itertools import combinations

import pytest

from dashboards.theme import (
    BAND_TOKENS,
    MARK_TOKENS,
    TEXT_TOKENS,
    TOKENS,
    Scheme,
    browser_theme,
    outcome_token,
    stylesheet,
)
from telephony.model import Outcome

Vector = tuple[float, float, float]

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.01182, 0.04294, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.3039),
    ),
}


def linear(colour: str) -> Vector:
    def channel(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    r, g, b = (channel(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return r, g, b


def contrast(one: str, other: str) -> float:
    light, dark = sorted(
        (0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(one), linear(other))), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, vision: str) -> Vector:
    rgb = linear(colour)
    r, g, b = (min(max(sum(m * c for m, c in zip(row, rgb, strict=True)), 0.0), 1.0) for row in VISION[vision])

    def f(t: float) -> float:
        return t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116

    x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047)
    y = f(0.2126 * r + 0.7152 * g + 0.0722 * b)
    z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: str) -> float:
    a, b = lab(one, vision), lab(other, vision)
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5)


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("ground", ["page", "surface", "surface-2"])
@pytest.mark.parametrize("token", TEXT_TOKENS)
def test_text_is_readable(scheme: Scheme, ground: str, token: str) -> None:
    """WCAG 1.4.3: 4.5:1."""
    assert contrast(TOKENS[scheme][token], TOKENS[scheme][ground]) >= 4.5


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("token", MARK_TOKENS)
def test_marks_stand_out(scheme: Scheme, token: str) -> None:
    """WCAG 1.4.11: 3:1."""
    assert contrast(TOKENS[scheme][token], TOKENS[scheme]["surface"]) >= 3.0


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("kind", ["ok", "warn", "bad", "accent"])
def test_text_on_soft_grounds_is_readable(scheme: Scheme, kind: str) -> None:
    """Chips and badges are text too."""
    assert contrast(TOKENS[scheme][f"{kind}-text"], TOKENS[scheme][f"{kind}-soft"]) >= 4.5


@pytest.mark.parametrize("scheme", Scheme)
def test_text_on_the_accent_is_readable(scheme: Scheme) -> None:
    """Buttons."""
    assert contrast(TOKENS[scheme]["on-accent"], TOKENS[scheme]["accent"]) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("scheme", Scheme)
def test_bands_stay_apart_for_every_eye(scheme: Scheme, vision: str) -> None:
    """No two bands come nearer than a CIE76 difference of 10, letters aside."""
    colours = [TOKENS[scheme][token] for token in BAND_TOKENS]
    assert min(difference(a, b, vision) for a, b in combinations(colours, 2)) >= 10


def test_schemes_define_the_same_tokens() -> None:
    """A token missing in one scheme would show as no colour at all."""
    assert set(TOKENS[Scheme.LIGHT]) == set(TOKENS[Scheme.DARK])


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_colour(outcome: Outcome) -> None:
    """Figures name colours by token."""
    assert outcome_token(outcome).removeprefix("@") in TOKENS[Scheme.DARK]


def test_stylesheet_carries_both_schemes() -> None:
    """Dark hangs on the attribute that Mantine and boot.js set."""
    sheet = stylesheet()
    assert f"--page: {TOKENS[Scheme.LIGHT]['page']}" in sheet.split('[data-mantine-color-scheme="dark"]')[0]
    assert f"--page: {TOKENS[Scheme.DARK]['page']}" in sheet.split('[data-mantine-color-scheme="dark"]')[1]


def test_templates_have_no_unresolved_token() -> None:
    """The browser resolves tokens of figures, not of templates."""
    assert "'@" not in str([theme["template"] for theme in browser_theme().values()])
