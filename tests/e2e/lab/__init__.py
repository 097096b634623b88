"""A real telephone network in a box: kamailio, rtpengine, sipp and baresip in network namespaces of their own.

Tests use it to see what the collector makes of software that it did not write. Needs root, iproute2 and the
Debian packages of those programs. Nothing of it reaches beyond its namespaces, and it cleans up after itself.
"""
