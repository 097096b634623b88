"""The deep dive of the call page: its result, or the reason why there is none."""

from dataclasses import replace
from pathlib import Path

import pytest
import sample_hour

from collectors.deepdive import (
    DeepDive,
    DeepDiveError,
    DiveTrouble,
    ExpertInfo,
    RtcpView,
    RtpStreamView,
    SdpLine,
    SipStep,
)
from dashboards.access.areas import LOCAL_ENGINEER
from dashboards.app import route
from dashboards.pages import call_dive
from dashboards.pages.call_dive import dived, render
from dashboards.services import Services
from storage.seam import Scope

ENGINEER = Scope.everything("engineer")
DIVE = DeepDive(
    tool="TShark 4.0.17",
    sip=(SipStep(1, 10**18, "a:1", "b:2", "INVITE sip:b@x", "1 INVITE", "one", False),),
    sdp=(SdpLine(1, "a:1", "m=audio 4000 RTP/AVP 8"),),
    streams=(RtpStreamView("a:1", "b:2", 0xABC, "g711A", 28, 2, 0.07, 20.0, 60.0, 1.5, 3.0, True),),
    rtcp=(RtcpView(3, 10**18 + 2_500_000_000, "a:1", "b:2", "SR", 1, 2, 3, 44, None, None),),
    experts=(ExpertInfo("warn", 3, "Sequence", "RTP", "Wrong sequence number"),),
    cut=True,
)


def text(component: object) -> str:
    return str(component)


def test_the_page_of_a_call_has_the_button() -> None:
    assert "dive-run" in text(route("/call/one", 2.0, LOCAL_ENGINEER))


@pytest.mark.parametrize(
    "words",
    [
        "TShark 4.0.17",
        "not all",
        "INVITE sip:b@x",
        "m=audio 4000 RTP/AVP 8",
        "0x00000abc",
        "g711A",
        "2.500",
        "Wrong seq",
    ],
)
def test_everything_is_shown(words: str) -> None:
    assert words in text(render(DIVE))


def test_tenants_are_not_allowed(services: Services) -> None:
    answer = text(dived(services, Scope.of("viewer", "acme"), sample_hour.TRACED_CALL))
    assert "engineers only" in answer


def test_without_a_buffer_it_says_how_to_have_one(services: Services) -> None:
    assert "Set collect.packet_buffer.directory" not in text(dived(services, ENGINEER, "never-was"))
    assert "collect.packet_buffer.directory" in text(dived(services, ENGINEER, sample_hour.TRACED_CALL))


def test_an_unknown_call_is_not_found(services: Services) -> None:
    assert "no such call" in text(dived(services, ENGINEER, "never-was"))


def test_an_empty_buffer_is_said(services: Services, tmp_path: Path) -> None:
    kept = replace(services, packets=tmp_path)
    assert "packet buffer is empty" in text(dived(kept, ENGINEER, sample_hour.TRACED_CALL))


def test_trouble_with_tshark_is_said(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> DeepDive:
        raise call_dive._Unavailable(str(DeepDiveError(DiveTrouble.NO_TSHARK, "tshark is not installed here")))

    monkeypatch.setattr(call_dive, "_dive", fail)
    assert "tshark is not installed" in text(dived(services, ENGINEER, sample_hour.TRACED_CALL))


def test_one_at_a_time(services: Services) -> None:
    with call_dive._BUSY:
        assert "Another deep dive" in text(dived(services, ENGINEER, sample_hour.TRACED_CALL))


def test_a_result_is_shown(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_dive, "_dive", lambda *_: DIVE)
    assert "Wrong sequence number" in text(dived(services, ENGINEER, sample_hour.TRACED_CALL))
