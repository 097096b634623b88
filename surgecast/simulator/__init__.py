"""A voice network with known truth that speaks real HEP through real sockets."""
