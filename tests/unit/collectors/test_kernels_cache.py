"""Where the machine code of kernels is kept: never that of other sources."""

from pathlib import Path

from collectors.kernels import cache_folder


def test_any_changed_source_means_another_folder(tmp_path: Path) -> None:
    sources = [tmp_path / "hep.py", tmp_path / "memory.py"]
    for source in sources:
        source.write_text("one")
    before = cache_folder(tmp_path, sources)
    sources[1].write_text("two")
    assert before != cache_folder(tmp_path, sources)


def test_the_same_sources_mean_the_same_folder(tmp_path: Path) -> None:
    source = tmp_path / "hep.py"
    source.write_text("one")
    assert cache_folder(tmp_path, [source]) == cache_folder(tmp_path, [source])
