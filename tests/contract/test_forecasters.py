import pytest
from forecaster_conformance import CHECKS

from forecast.members import Member, members


@pytest.mark.parametrize("member", members(), ids=lambda member: member.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_member_conforms(member: Member, check) -> None:
    check(member)
