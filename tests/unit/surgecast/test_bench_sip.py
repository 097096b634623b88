"""The SIP benchmark measures what it says: whole calls, of 7 messages on one hop and 13 on two."""

import numpy as np
import pytest

from collectors.facts import CallEnded
from collectors.tracking.dialogs import DialogSettings, DialogTracker
from surgecast.bench.sip import run, traffic


@pytest.mark.parametrize(("hops", "messages"), [(1, 7), (2, 13)])
def test_traffic_is_answered_and_released_calls(hops: int, messages: int) -> None:
    tracker = DialogTracker(DialogSettings())
    count = 0
    for batch in traffic(40, 1000, hops):
        tracker.feed(batch, np.arange(len(batch.rows)))
        count += len(batch.rows)
    tracker.close(2**62)
    calls = [e.call for e in tracker.take_events() if isinstance(e, CallEnded)]
    assert (40 * messages, [(200, True, hops)] * 40) == (
        count,
        [(call.sip_code, call.clean_end, len(call.hops)) for call in calls],
    )


def test_figures_are_of_the_traffic() -> None:
    figures = run(calls=40, repeats=1)
    assert (280, 260) == tuple(figures[hops]["messages"] for hops in ("one_hop", "two_hops"))  # type: ignore[index]
