"""The notebook of the forecast backtest runs from the first cell to the last, on a file and without one."""

from pathlib import Path

import jupytext
import nbclient
import numpy as np
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "02_forecast_backtest.py"


def executed(folder: Path):
    notebook = jupytext.read(NOTEBOOK)
    client = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", allow_errors=False)
    client.execute(cwd=str(folder))
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(outputs) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


@pytest.mark.timeout(300)
def test_it_compares_every_member_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = np.arange(42 * 48)
    counts = np.random.default_rng(2).poisson(40 + 30 * np.sin(slots / 48 * 2 * np.pi))
    stamps = np.datetime64("2024-01-01T00:00:00") + slots * np.timedelta64(1800, "s")
    rows = [f"{stamp},{count}" for stamp, count in zip(stamps, counts, strict=True)]
    (tmp_path / "calls.csv").write_text("\n".join(["ds,y", *rows]))
    monkeypatch.setenv("SURGECAST_SERIES", str(tmp_path / "calls.csv"))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    outputs = executed(tmp_path)
    text = printed(outputs)
    assert "2016 slots of 30 minutes" in text
    table = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line[:1].isalpha()}
    assert {"last-value", "day-type", "weekly-profile", "seasonal-naive", "universal"} <= set(table)
    assert float(table["weekly-profile"][3]) < float(table["seasonal-naive"][3])
    figures = [output["data"] for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert 3 == len(figures)
