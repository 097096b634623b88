"""Bytes to facts: HEP, SIP, SDP, RTCP. No I/O, no clock, no exception out of a parser."""
