"""The Homer Encapsulation Protocol (HEP 1, 2 and 3): bytes to rows and back, without I/O or clock."""

from collectors.wire.hep.duplicates import DuplicateFilter
from collectors.wire.hep.encode import encode_hep1, encode_hep2, encode_hep3
from collectors.wire.hep.parser import HepError, HepParser

__all__ = ["DuplicateFilter", "HepError", "HepParser", "encode_hep1", "encode_hep2", "encode_hep3"]
