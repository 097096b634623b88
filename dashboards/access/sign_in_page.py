"""The sign-in page as HTML: no script of its own, everything that varies escaped."""

from collections.abc import Sequence
from html import escape

from dashboards.access.areas import Actor

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · Surgecast</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<script src="/assets/boot.js"></script>
<link rel="stylesheet" href="/tokens.css">
<link rel="stylesheet" href="/assets/1-base.css">
<link rel="stylesheet" href="/assets/5-sign-in.css">
</head>
<body class="sign-in-body">
<main class="sign-in">
<div class="brand"><span class="brand-mark" aria-hidden="true"></span><span>Surgecast</span></div>
{body}
</main>
</body>
</html>
"""
_FORM = """<form method="post" action="/sign-in" class="sign-in-form">
<h1>Sign in</h1>
{problem}
{hidden}
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
  maxlength="128" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required>
<button type="submit" class="button">Sign in</button>
</form>
"""
_PERSONAS = """<form method="post" action="/sign-in" class="sign-in-form">
<h1>Look at it as</h1>
<p>This is a demo on this machine alone: choose who you are, no password is needed.</p>
{problem}
{hidden}
<div class="personas">
{buttons}
</div>
</form>
"""
_PERSONA = """<button type="submit" name="persona" value="{key}" class="persona">
<strong>{name}</strong><span>{role} · {tenants}</span>
</button>"""
_ELSEWHERE = """<div class="sign-in-form">
<h1>Sign in at your proxy</h1>
<p>People are signed in by the proxy before these pages. You came without its sign-in, or in none of the groups
that have been given a role.</p>
</div>
"""
_NOT_SET_UP = """<div class="sign-in-form">
<h1>Nobody signs in here</h1>
<p>No users and no proxy are configured, so the pages are served to this machine only, at 127.0.0.1 or localhost.
Add <code>web.users</code> to the configuration to let others in.</p>
<a class="button" href="/">Go to the pages</a>
</div>
"""


def page(
    *,
    token: str,
    after: str,
    problem: str,
    passwords: bool,
    proxy: bool,
    personas: Sequence[tuple[str, Actor]],
) -> str:
    """Return the page.

    Args:
        token: that the form sends back.
        after: where to go then.
        problem: of the last try.
        passwords: there are local users.
        proxy: a proxy signs people in.
        personas: to choose from without a password.
    """
    said = f'<p class="sign-in-problem" role="alert">{escape(problem)}</p>' if problem else ""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in (("token", token), ("next", after))
    )
    if personas:
        body = _PERSONAS.format(
            problem=said, hidden=hidden, buttons="\n".join(_persona(*each) for each in personas)
        )
    elif passwords:
        body = _FORM.format(problem=said, hidden=hidden)
    else:
        body = _ELSEWHERE if proxy else _NOT_SET_UP
    return _PAGE.format(body=body)


def _persona(key: str, actor: Actor) -> str:
    tenants = "every tenant" if actor.tenants is None else f"tenant {', '.join(sorted(actor.tenants))}"
    return _PERSONA.format(
        key=escape(key), name=escape(actor.name), role=escape(actor.role.words), tenants=escape(tenants)
    )
