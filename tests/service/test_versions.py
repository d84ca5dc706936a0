"""Versions: which requests are taken, and how old states are brought up."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.service.versions import VersionError, check_request, is_newer, upgraded


@pytest.mark.parametrize(
    ("newer", "older"),
    [("1.10", "1.9"), ("2", "1.9.9"), ("1.0.1", "1.0"), ("1.0", "1.0rc1"), ("1.0b", "1.0a"), (2, 1), ("1.1", 1)],
)
def test_versions_are_ordered_as_people_read_them(newer: Any, older: Any) -> None:
    assert is_newer(newer, older)
    assert not is_newer(older, newer)
    assert not is_newer(newer, newer)


class Takes:
    version = "1.0"

    def accepts(self, version: Any) -> bool:
        return version in ("1.0", "0.9")


def test_a_request_that_is_not_accepted_names_both_versions() -> None:
    check_request(Takes(), "lab.fit", "0.9")
    with pytest.raises(VersionError, match=r"lab.fit is of version 1.0, the request of version 0.8") as caught:
        check_request(Takes(), "lab.fit", "0.8")
    assert isinstance(caught.value, ValueError)
    assert (caught.value.found, caught.value.expected) == ("0.8", "1.0")


def step(state: list[str], version: str) -> tuple[list[str], str]:
    newer = {"1": "2", "2": "3", "bad": "bad"}[version]
    return [*state, f"{version}->{newer}"], newer


def test_an_old_state_goes_up_step_by_step() -> None:
    assert upgraded([], "1", "lab.fit", "3", step) == ["1->2", "2->3"]
    assert upgraded([], "3", "lab.fit", "3", step) == []


def test_a_state_whose_version_nobody_knows_is_taken_as_it_is() -> None:
    assert upgraded(["x"], None, "lab.fit", "3", step) == ["x"]


def test_a_state_newer_than_the_software_is_refused() -> None:
    with pytest.raises(VersionError, match=r"is of version 4 .* which is 3 here: the state is newer than the software"):
        upgraded([], "4", "lab.fit", "3", step)


def test_an_upgrade_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(VersionError, match=r"from version 1 to 1, which is not newer"):
        upgraded([], "1", "lab.fit", "3", lambda state, version: (state, version))
