"""Who may see what: roles and areas, users, proxies and sessions, and the one guard before every request."""
