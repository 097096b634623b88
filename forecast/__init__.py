"""Forecasts of load with honest quantiles."""
