"""The entry: command line, configuration, process wiring, exporter, simulator."""
