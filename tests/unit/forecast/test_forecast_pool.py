"""Worker processes: none outlives a service that was killed."""

import os
import select
import signal
import subprocess
import sys

import pytest

STARTS_ONE = """
import os, sys
from forecast.pool import Workers

if __name__ == "__main__":
    workers = Workers(1)
    print(workers._started().submit(os.getpid).result(), flush=True)
    sys.stdin.read()
"""
PATIENCE_MS = 60_000


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched as Linux does it")
def test_a_worker_ends_with_the_service_that_was_killed(tmp_path) -> None:
    script = tmp_path / "starts_one.py"
    script.write_text(STARTS_ONE)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as service:  # fmt: skip
        assert service.stdout is not None
        worker = os.pidfd_open(int(service.stdout.readline()))
        service.send_signal(signal.SIGKILL)
    poll = select.poll()
    poll.register(worker, select.POLLIN)
    ended = poll.poll(PATIENCE_MS)
    os.close(worker)
    assert ended
