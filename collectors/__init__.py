"""From bytes on the wire to calls, stream intervals and minute rollups."""
