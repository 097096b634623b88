"""The frame around every page: header, navigation, clock, colour scheme, and the link past them."""

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.access.areas import Actor, Area, Via
from dashboards.theme import FONT, MONO, browser_theme

from .wiring import aria

MANTINE_THEME: dict[str, Any] = {
    "fontFamily": FONT,
    "fontFamilyMonospace": MONO,
    "primaryColor": "blue",
    "defaultRadius": "md",
    "respectReducedMotion": True,
}


def shell(actor: Actor, *, may_switch: bool) -> dmc.MantineProvider:
    """Return the layout that stays while pages change.

    Args:
        actor: who is signed in; the navigation holds the actor's pages.
        may_switch: the actor may become another without a password.
    """
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="theme", data=browser_theme()),
            html.A("Skip to the content", href="#page", className="skip-link"),
            html.Header(
                [
                    dcc.Link(
                        [html.Span(className="brand-mark", **aria(hidden="true")), html.Span("Surgecast")],
                        href="/",
                        className="brand",
                        title="Start page",
                    ),
                    html.Nav(
                        [
                            dcc.Link(page.title, href=page.href, className="nav-link", id=f"nav-{page.href[1:]}")
                            for page in actor.pages
                        ],
                        id="nav",
                        className="nav",
                        **aria(label="Pages"),
                    ),
                    _call_search() if actor.may(Area.CALL) else html.Span(className="call-search"),
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
                    _who(actor, may_switch),
                ],
                className="top",
            ),
            html.Main(id="page", tabIndex=-1),
        ],
        id="mantine",
        theme=MANTINE_THEME,
        defaultColorScheme="auto",
    )


def _call_search() -> dmc.TextInput:
    return dmc.TextInput(
        id="call-search",
        placeholder="Open a call: Call-ID, number or destination",
        className="call-search",
        size="sm",
        debounce=True,
        value="",
        attributes={"input": {"aria-label": "Open a call", "type": "search"}},
        leftSection=html.Span(className="icon icon-search"),
    )


def _who(actor: Actor, may_switch: bool) -> html.Form:
    """Return who is signed in, with the way out."""
    tenants = "every tenant" if actor.tenants is None else ", ".join(sorted(actor.tenants))
    name, detail, hint = actor.name, f"{actor.role.words} · {tenants}", f"{actor.role.words}, {tenants}"
    if actor.via is Via.LOCAL:
        name, detail = "Local engineer", "no sign-in"
        hint = "No sign-in is set up: whoever reaches these pages sees everything as an engineer"
    way_out: list[Any] = []
    if may_switch:
        way_out.append(
            html.A("Switch", href="/sign-in", className="tool tool-solid", title="Look at it as another")
        )
    elif actor.via is Via.PASSWORD:
        way_out.append(html.Button("Sign out", type="submit", className="tool tool-solid"))
    return html.Form(
        [html.Div([html.Strong(name), html.Span(detail)], className="actor-who", title=hint), *way_out],
        action="/sign-out",
        method="POST",
        className="actor",
    )


def back_link(title: str, href: str) -> html.Div:
    """Return the bar that leads from the page of one thing to the page of all."""
    return html.Div(
        dcc.Link(
            [html.Span(className="icon icon-back"), html.Span(title)], href=href, className="tool tool-solid back"
        ),
        className="filter-bar",
    )


def not_allowed(actor: Actor, area: Area) -> html.Div:
    """Return the page of an area that is not for the actor's role."""
    roles = " and ".join(sorted(role.words for role in area.value.roles))
    return html.Div(
        [
            html.H1("Not allowed"),
            html.P(f"This page is for the roles {roles}; you are here as {actor.role.words}."),
            dcc.Link("Go to the start page", href="/", className="button"),
        ],
        className="not-found",
    )


def not_found(what: str) -> html.Div:
    """Return the page for an address that leads nowhere."""
    return html.Div(
        [
            html.H1("Not found"),
            html.P(what),
            dcc.Link("Go to the start page", href="/", className="button"),
        ],
        className="not-found",
    )
