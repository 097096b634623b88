"""The roles a process can have, a module each, so that no process loads what another one needs.

`run(settings, stop)` of a module works until its stop event is set; each is started by its name.
"""
