"""The entry: command line, configuration, process wiring, exporter, simulator."""

from importlib.metadata import version

__version__ = version("surgecast")
