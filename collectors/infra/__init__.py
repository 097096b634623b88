"""Scrapes of the infrastructure around the calls."""
