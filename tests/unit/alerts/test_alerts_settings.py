"""Fixed rules in the configuration: what they become, and what is said of wrong ones."""

import pytest

from alerts.catalog import Rule
from alerts.settings import RuleSettings
from alerts.signals import Direction
from surgecast.config import settings_from
from surgecast.errors import ConfigError

GOOD = {"name": "answers", "signal": "answer_ratio", "scope": "trunk:carrier-a", "below": 0.4, "for": "15m"}


def test_rule_is_a_limit() -> None:
    limit = RuleSettings.model_validate(GOOD).limit
    assert (limit.signal, limit.scope_kind, limit.scope_name) == (Rule.ANSWER_RATIO, "trunk", "carrier-a")
    assert (limit.side, limit.value, limit.hold_s) == (Direction.DOWN, 0.4, 900.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"above": 0.9}, "alerts.rules.0: rule answers: give either above or below, for example below: 0.4"),
        ({"below": None}, "give either above or below"),
        (
            {"scope": "codec:opus"},
            "scope 'codec:opus' does not fit answer_ratio; there is platform, tenant, trunk",
        ),
        ({"scope": "trunk:"}, "does not fit"),
        ({"signal": "asr"}, "alerts.rules.0.signal: Input should be 'attempts', 'answer_ratio'"),
        ({"name": "heartbeats"}, "is the name of a rule of the starter pack"),
        ({"name": "Two words"}, "for example name: carrier_a_answers"),
        ({"for": "soon"}, "for example for: 10m"),
        ({"severity": "page"}, "for example severity: critical"),
        ({"hold": "10m"}, "unknown key; known here: above, below, for, minimum_n"),
    ],
)
def test_fault_is_named_with_key_reason_and_example(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings_from({"alerts": {"rules": [{**GOOD, **changes}]}}, origin="test")
    assert said in str(error.value)


def test_names_differ() -> None:
    with pytest.raises(ConfigError, match="'answers' is there twice"):
        settings_from({"alerts": {"rules": [GOOD, GOOD]}}, origin="test")
