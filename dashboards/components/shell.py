"""The frame around every page: header, navigation, clock, colour scheme, and the link past them."""

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.theme import FONT, MONO, browser_theme

from .wiring import aria

MANTINE_THEME: dict[str, Any] = {
    "fontFamily": FONT,
    "fontFamilyMonospace": MONO,
    "primaryColor": "blue",
    "defaultRadius": "md",
    "respectReducedMotion": True,
}


def shell() -> dmc.MantineProvider:
    """Return the layout that stays while pages change."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="theme", data=browser_theme()),
            html.A("Skip to the content", href="#page", className="skip-link"),
            html.Header(
                [
                    dcc.Link(
                        [html.Span(className="brand-mark", **aria(hidden="true")), html.Span("Surgecast")],
                        href="/live",
                        className="brand",
                        title="Live",
                    ),
                    html.Nav(
                        [
                            dcc.Link("Live", href="/live", className="nav-link", id="nav-live"),
                            dcc.Link("Incidents", href="/incidents", className="nav-link", id="nav-incidents"),
                            dcc.Link("Capacity", href="/capacity", className="nav-link", id="nav-capacity"),
                            dcc.Link("Tenants", href="/tenants", className="nav-link", id="nav-tenants"),
                            dcc.Link("Executive", href="/executive", className="nav-link", id="nav-executive"),
                        ],
                        className="nav",
                        **aria(label="Pages"),
                    ),
                    dmc.TextInput(
                        id="call-search",
                        placeholder="Open a call: Call-ID, number or destination",
                        className="call-search",
                        size="sm",
                        debounce=True,
                        value="",
                        attributes={"input": {"aria-label": "Open a call", "type": "search"}},
                        leftSection=html.Span(className="icon icon-search"),
                    ),
                    html.Div(
                        [
                            html.Span(id="as-of", className="as-of"),
                            html.Span(id="as-of-age", className="as-of-age"),
                        ],
                        className="clock",
                        role="timer",
                    ),
                    dmc.ColorSchemeToggle(
                        id="scheme",
                        lightIcon=html.Span(className="icon icon-sun"),
                        darkIcon=html.Span(className="icon icon-moon"),
                        variant="default",
                        size="lg",
                        attributes={"root": {"aria-label": "Light or dark"}},
                    ),
                ],
                className="top",
            ),
            html.Main(id="page", tabIndex=-1),
        ],
        id="mantine",
        theme=MANTINE_THEME,
        defaultColorScheme="auto",
    )


def not_found(what: str) -> html.Div:
    """Return the page for an address that leads nowhere."""
    return html.Div(
        [
            html.H1("Not found"),
            html.P(what),
            dcc.Link("Go to the live page", href="/live", className="button"),
        ],
        className="not-found",
    )
