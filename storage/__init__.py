"""One write seam and one scoped read seam over the embedded store (later also InfluxDB)."""
