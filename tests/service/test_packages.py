"""What a request requires to be installed."""

from __future__ import annotations

import pytest

from tests.service.services import Scripted
from tracking import InputError
from tracking.service import ServiceHandler
from tracking.service.packages import check_requires, installed

HERE = {"numpy": "1.26.4", "scipy": "1.10"}.get


def test_what_is_there_and_new_enough_is_accepted() -> None:
    check_requires(["numpy", "numpy >= 1.26", "scipy>=1.9"], HERE)
    check_requires("numpy", HERE)
    check_requires((), HERE)


def test_all_that_is_missing_or_too_old_is_named() -> None:
    with pytest.raises(InputError, match=r"requires scipy>=1.11 \(it is 1.10 here\), park \(not installed\): install"):
        check_requires(["numpy", "scipy>=1.11", "park"], HERE)


def test_a_request_that_requires_what_is_not_there_is_refused_where_it_is_submitted() -> None:
    service = Scripted()
    with pytest.raises(InputError, match="no-such-package"):
        ServiceHandler().start(service, Scripted.request(requires=["pytest", "no-such-package"]))
    assert service.story == []
    assert installed("pytest")
