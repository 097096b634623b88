"""The embedded store: an Arrow write log sealed into Parquet segments, read by DuckDB from any process."""
