"""Files that cannot be read are put aside, said and counted: they cost their own rows and nothing else.

They go to `quarantine/<measurement>/`, where nobody reads or deletes them, for a person to look at.
"""

import logging
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.embedded.digest_maps import MappedDigest
from storage.embedded.digests import is_digest
from storage.embedded.layout import Layout
from storage.embedded.stats import StoreStats

logger = logging.getLogger(__name__)
_ROWS_AT_ONCE = 65_536


def damage_of(path: Path, connection: "duckdb.DuckDBPyConnection") -> str:
    """Return why a file cannot be read, empty where it can; raises FileNotFoundError, OSError.

    Reads the whole file, Parquet with its checksums, then as queries do.
    """
    try:
        if is_digest(path):
            MappedDigest(path).head(sys.maxsize)
            return ""
        with path.open("rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for _ in parquet.iter_batches(_ROWS_AT_ONCE):
                pass
        for _ in connection.sql("FROM read_parquet($p0)", params={"p0": str(path)}).to_arrow_reader(_ROWS_AT_ONCE):
            pass
    except pa.ArrowException as error:
        return str(error)[:200] or type(error).__name__
    except OSError as error:
        if error.errno is not None:  # the system's word: the disk, not the file's contents
            raise
        return str(error)[:200]
    except duckdb.OutOfMemoryException:
        return ""
    except duckdb.Error as error:
        return str(error)[:200]
    return ""


def put_aside(layout: Layout, measurement: str, path: Path, why: str, stats: StoreStats) -> bool:
    """Move a damaged file to the quarantine; tell whether it is away: who may only read cannot do it."""
    aside = layout.quarantine / measurement / path.name
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
    except FileNotFoundError:
        return True  # another process did it
    except OSError as error:
        logger.warning("%s is damaged (%s), is skipped, and cannot be put aside: %s", path, why, error)
        stats.damaged_files += 1
        return False
    logger.warning("%s is damaged (%s) and was put aside as %s", path, why, aside)
    stats.damaged_files += 1
    return True
