"""What of the data is sent with a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracking import TrackingJobMaster
from tracking.master.id_runs import IdRun
from tracking.master.sending import values_to_send

DATA = {f"id {number}": number for number in range(3000)}
RUN = IdRun(list(DATA), 1000, 3000)


def master(of: type[TrackingJobMaster] = TrackingJobMaster) -> TrackingJobMaster:
    return of(DATA, 2000, ["localhost"], {}, verbose=0, function=abs)


def test_a_function_is_sent_a_list_and_go_a_dict() -> None:
    assert values_to_send(master(), RUN, as_dict=False) == list(range(1000, 3000))
    assert values_to_send(master(), RUN, as_dict=True) == dict(list(DATA.items())[1000:])


def test_a_hook_is_asked_for_a_plain_list_of_ids_however_many_there_are() -> None:
    class Made(TrackingJobMaster):
        def get_slave_chunk(self, ids: Sequence[Any]) -> Mapping[Any, Any]:
            assert type(ids) is list
            return {id: id.upper() for id in reversed(ids)}

    assert values_to_send(master(Made), RUN, as_dict=False)[:2] == ["ID 1000", "ID 1001"]
    assert values_to_send(master(Made), RUN, as_dict=True)["id 1000"] == "ID 1000"
