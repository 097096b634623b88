"""Whether memory stays flat: runs the demo for a while and watches the resident memory of each of its processes.

    python benchmarks/soak.py --minutes 30 --calls 500

Prints one JSON object: for each role its resident memory (MB) after warm-up and at the end, and the slope between
(MB an hour, least squares). Linux only: it reads /proc.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

_SAMPLE_SECONDS = 10.0
_WARM_SHARE = 1 / 3
"""Share of the run that counts as warm-up: caches fill, the first logs are sealed."""
_KB_PER_MB = 1024


def resident_mb(pid: int) -> float | None:
    """Return the anonymous resident memory of a process: what mapped files hold is the kernel's to give back."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / _KB_PER_MB for line in lines if line.startswith("RssAnon:")), None)


def children_of(pid: int) -> list[int]:
    """Return the processes below a process, all generations."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            found += [int(child), *children_of(int(child))]
    return found


def process_name(pid: int) -> str:
    """Return what a process calls itself; roles carry their names."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def slope_per_hour(samples: list[tuple[float, float]]) -> float:
    """Return the least-squares slope of (seconds, MB) in MB an hour."""
    n = len(samples)
    mean_t, mean_m = sum(t for t, _ in samples) / n, sum(m for _, m in samples) / n
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return sum((t - mean_t) * (m - mean_m) for t, m in samples) / spread * 3600 if spread else 0.0


def main() -> None:
    """Run the demo and print what its memory did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--port", type=int, default=8099)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "surgecast", "demo", "--weeks", "1"]
    for name, value in (("--calls", arguments.calls), ("--port", arguments.port)):
        command += [name, str(value)]
    command += ["--seconds", str(arguments.minutes * 60)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    began, samples = time.monotonic(), dict[int, list[tuple[float, float]]]()
    names: dict[int, str] = {}
    while demo.poll() is None:
        time.sleep(_SAMPLE_SECONDS)
        for pid in children_of(demo.pid):
            if (memory := resident_mb(pid)) is not None:
                names[pid] = process_name(pid) or names.get(pid, "")
                samples.setdefault(pid, []).append((time.monotonic() - began, memory))
    roles = {}
    for pid, series in samples.items():
        warm = series[int(len(series) * _WARM_SHARE) :]
        if len(warm) > 2:
            roles[str(pid)] = {
                "process": names[pid],
                "mb_by_minute": [round(m, 1) for _, m in series[:: round(60 / _SAMPLE_SECONDS)]],
                "warm_mb": round(warm[0][1], 1),
                "end_mb": round(warm[-1][1], 1),
                "max_mb": round(max(m for _, m in series), 1),
                "slope_mb_per_hour": round(slope_per_hour(warm), 1),
            }
    print(
        json.dumps(
            {"minutes": arguments.minutes, "calls": arguments.calls, "exit": demo.returncode, "roles": roles}
        )
    )


if __name__ == "__main__":
    main()
