"""Learned baselines, incidents and notification."""
