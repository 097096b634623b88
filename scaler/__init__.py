"""From forecast to replicas."""
