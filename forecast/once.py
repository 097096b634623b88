"""A forecast of some series as of now, fitted anew from the store, as the service would issue it.

Medians are not made to add up over tenants and pools: that needs all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from zoneinfo import ZoneInfo

from forecast.carried import CARRIED, CarriedForecasts
from forecast.horizons import Horizon
from forecast.issue import Known, Outcome, Task, prepared
from forecast.knowledge import gather, tenant_shares
from forecast.live_calls import CARRIERS
from forecast.regressor_files import RegressorFiles
from forecast.series import BadSeries, Series
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS, Book, read_into
from forecast.targets import Kind, SeriesId, Signal
from storage.seam import Reader, Window


class Once:
    """What the store tells at one time, read series by series as they are asked for."""

    def __init__(self, reader: Reader, settings: ForecastServiceSettings, now_s: int) -> None:
        """Raises StoreError."""
        self._reader = reader
        self._settings = settings
        self._now_s = now_s
        now_ns = now_s * SECOND_NS
        outside = RegressorFiles(settings.regressors, ZoneInfo(settings.zone)).current()
        self._knowledge = gather(reader, settings, now_ns, tenant_shares(reader, now_ns), outside)
        self._books: dict[tuple[Kind, Signal], Book] = {}

    def task(self, key: SeriesId, horizon: Horizon) -> Task:
        """Return what to do for a series. Raises StoreError, BadSeries."""
        series = self._book(key).series(key, self._settings.zone_of(key))
        return Task(key, series, self._knowledge.of(key), (horizon,), None)

    def outcomes(
        self, keys: Iterable[SeriesId], horizon: Horizon, run: Callable[[Iterable[Task]], Iterator[Outcome]]
    ) -> list[Outcome]:
        """Return the forecast of each series, in their order; where there is none, why. Raises StoreError."""
        asked = list(dict.fromkeys(keys))
        found: dict[SeriesId, Outcome] = {}
        tasks = []
        for key in [*asked, *(self._arrivals(asked) if horizon is Horizon.SHORT else ())]:
            try:
                tasks.append(self.task(key, horizon))
            except BadSeries as error:
                found[key] = Outcome(key, None, trouble=str(error))
        carried = CarriedForecasts(self._reader, self._settings)
        if horizon is Horizon.SHORT:
            carried.begin(self._now_s, room=len(asked))
        for outcome in carried.carried(run(tasks), self._series_of):
            found[outcome.key] = outcome
        return [found[key] for key in asked]

    def _arrivals(self, asked: Iterable[SeriesId]) -> list[SeriesId]:
        """Return the arrivals that calls in progress are carried on with, where the service forecasts them."""
        carriers = dict.fromkeys((key.kind, key.name) for key in asked if key.signal in CARRIED)
        return [
            SeriesId(kind, name, Signal.ARRIVALS)
            for kind, name in carriers
            if kind in CARRIERS and Signal.ARRIVALS in self._settings.signals.get(kind, ())
        ]

    def _series_of(self, key: SeriesId) -> tuple[Series, Known]:
        known = self._knowledge.of(key)
        return prepared(key, self._book(key).series(key, self._settings.zone_of(key)), known), known

    def _book(self, key: SeriesId) -> Book:
        book = self._books.get((key.kind, key.signal))
        if book is None:
            slot_s = self._settings.slot_of(key.kind)
            until_s = self._now_s // slot_s * slot_s
            book = Book.of(until_s - round(self._settings.history), slot_s, until_s, self._settings.max_series)
            window = Window(book.start_s * SECOND_NS, until_s * SECOND_NS)
            read_into(book, self._reader, window, {key.kind: (key.signal,)})
            self._books[key.kind, key.signal] = book
        return book
