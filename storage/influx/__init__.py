"""InfluxDB as the store: our own line protocol out, InfluxQL back in."""
