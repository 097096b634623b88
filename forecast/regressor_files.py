"""The files of regressors that the configuration names, read when they are new or have changed on disk.

A file that cannot be read stops no forecast: what was read of it last stays, and its trouble is told beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from forecast.regressor_points import BadRegressors, Regressor, read_regressors
from forecast.service_settings import RegressorSettings


@dataclass(frozen=True, slots=True)
class Outside:
    """A configured regressor as it is known now."""

    settings: RegressorSettings
    regressor: Regressor | None
    trouble: str = ""
    """Why its file could not be read, or not anew."""


class RegressorFiles:
    """What is known of each configured regressor; stamps without an offset are of `zone`."""

    def __init__(self, settings: Sequence[RegressorSettings], zone: ZoneInfo) -> None:
        self._settings = tuple(settings)
        self._zone = zone
        self._seen: dict[Path, tuple[int, int]] = {}
        self._held: dict[Path, dict[str, Regressor]] = {}
        self._trouble: dict[Path, str] = {}

    def current(self) -> tuple[Outside, ...]:
        """Return every regressor, files that changed read anew."""
        for path in dict.fromkeys(each.file for each in self._settings):
            self._look_at(path)
        return tuple(self._outside(each) for each in self._settings)

    def _look_at(self, path: Path) -> None:
        try:
            stat = path.stat()
            seen = stat.st_mtime_ns, stat.st_size
            if self._seen.get(path) == seen:
                return
            self._held[path] = {each.name: each for each in read_regressors(path, self._zone).regressors}
            self._trouble.pop(path, None)
        except OSError as error:
            self._seen.pop(path, None)
            self._trouble[path] = f"{path.name}: {error.strerror}"
            return
        except BadRegressors as error:
            self._trouble[path] = str(error)
        self._seen[path] = seen

    def _outside(self, settings: RegressorSettings) -> Outside:
        held = self._held.get(settings.file, {})
        trouble = self._trouble.get(settings.file, "")
        if not trouble and settings.name not in held:
            trouble = f"{settings.file.name}: no column {settings.name!r}; there is {', '.join(held)}"
        return Outside(settings, held.get(settings.name), trouble)
