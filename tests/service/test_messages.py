"""Messages, streams of them, and monitors."""

from __future__ import annotations

import logging
import pickle
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from tests.service.helpers import Heard
from tests.service.services import WAIT_S, Steer, SteerMore
from tracking.service import (
    Abort,
    Aborted,
    Checkpoint,
    Completed,
    Error,
    Improved,
    Invoke,
    Joined,
    Log,
    Message,
    MessageStream,
    Monitor,
    Pause,
    Progress,
    Resume,
    Set,
    Started,
)  # fmt: skip


def record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("lab.fit", logging.INFO, __file__, 1, text, args, None)


def all_messages() -> Iterator[Message]:
    yield from (Abort(), Pause(), Resume(), Set(a=1), Invoke("go", 1, b=2), Started("Fit-1", "lab.fit"))
    yield Joined(1, 2, 3)
    yield from (Progress(1, 2), Improved(1), Completed(None), Aborted(), Checkpoint({"a": 1}, "1"), Log(record("x")))
    try:
        raise KeyError("gone")
    except KeyError:
        yield Error()


@pytest.mark.parametrize("message", [*all_messages()], ids=lambda message: type(message).__name__)
def test_every_message_can_be_pickled_and_says_what_it_is(message: Message) -> None:
    copied = pickle.loads(pickle.dumps(message))
    assert type(copied) is type(message)
    assert vars(copied).keys() == vars(message).keys()
    assert repr(message).startswith(type(message).__name__)


def test_a_message_of_ones_own_has_the_attributes_that_it_is_given() -> None:
    assert vars(Steer(a=1, b=2)) == {"a": 1, "b": 2}
    assert (Set(a=1, values=2).values, Invoke("go", 1, method=2).kw) == ({"a": 1, "values": 2}, {"method": 2})


def test_progress_reads_as_people_say_it() -> None:
    assert str(Progress(3, 10, "steps")) == "Progress: 3 steps of 10"
    assert str(Progress(3, 10)) == "Progress: 3 of 10"


def test_an_error_holds_its_trace_as_text_and_no_frames_of_ours() -> None:
    from tracking.service.maps import Maps
    from tracking.service.workers import Workers

    try:
        Maps(Workers()).map(lambda value: 1 // value, [0])
    except ZeroDivisionError:
        error = Error()
    assert error.words == "ZeroDivisionError: integer division or modulo by zero"
    assert "lambda" in error.trace
    assert "maps.py" not in error.trace
    assert "ZeroDivisionError" in str(error)


def test_a_log_record_travels_with_arguments_and_exceptions_that_could_not() -> None:
    made = record("%s failed", threading.Lock())
    try:
        raise KeyError("gone")
    except KeyError:
        made.exc_info = sys.exc_info()
    told = pickle.loads(pickle.dumps(Log(made))).record
    assert "lock" in told.getMessage()
    assert "KeyError: 'gone'" in told.exc_text


# ---- streams


def test_who_listens_from_the_beginning_hears_everything_in_order_and_no_joined() -> None:
    stream, heard = MessageStream(), Heard()
    stream.listen("Fit-1", heard)
    said = [Started(), Progress(1, 2), Progress(2, 2), Completed(3)]
    for message in said:
        stream.put("Fit-1", message)
    stream.put("Fit-2", Started())
    assert heard.messages == said


def test_who_comes_late_hears_joined_first_then_what_is_kept_then_what_follows() -> None:
    stream, heard = MessageStream(), Heard()
    early: list[Message] = [Started(), Progress(1, 9, "steps"), Improved(5), Log(record("x")), Progress(2, 9, "steps")]
    for message in early:
        stream.put("Fit-1", message)
    stream.listen("Fit-1", heard)
    stream.put("Fit-1", Completed(7))
    joined = heard.messages[0]
    assert isinstance(joined, Joined)
    assert vars(joined) == {"complete": 2, "total": 9, "units": "steps", "result": 5, "missed": 0}
    assert heard.messages[1:] == [early[0], early[2], early[3], early[4], heard.messages[-1]]
    assert isinstance(heard.messages[-1], Completed)


def test_who_comes_after_the_end_hears_the_result() -> None:
    stream, heard = MessageStream(), Heard()
    stream.put("Fit-1", Completed(7))
    stream.listen("Fit-1", heard)
    assert [getattr(message, "result", None) for message in heard.messages] == [7, 7]


def test_what_is_kept_is_bounded_and_joined_tells_how_much_is_missed() -> None:
    stream, heard = MessageStream(), Heard()
    for number in range(1200):
        stream.put("Fit-1", Steer(number=number))
    stream.listen("Fit-1", heard)
    joined, *kept = heard.messages
    assert isinstance(joined, Joined)
    assert (joined.missed, len(kept)) == (200, 1000)
    assert vars(kept[0]) == {"number": 200}


def test_a_queue_may_listen_and_hang_up() -> None:
    stream, one, two = MessageStream(), SimpleQueue[Message](), Heard()
    for job in ("a", "b"):
        stream.listen(job, one)
        stream.listen(job, two)
    stream.hangup("a", one)
    stream.hangup(None, two)
    stream.put("a", Abort())
    stream.put("b", Pause())
    assert isinstance(one.get_nowait(), Pause)
    assert one.empty()
    assert two.messages == []
    stream.forget("b")
    stream.listen("b", two)
    assert two.messages == []


def test_a_listener_that_fails_disturbs_nobody_and_goes_on_listening(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Heard):
        def put(self, message: Message) -> None:
            super().put(message)
            raise ValueError("no")

    stream, failing, heard = MessageStream(), Failing(), Heard()
    stream.listen("a", failing)
    stream.listen("a", heard)
    stream.put("a", Pause())
    stream.put("a", Resume())
    assert len(failing.messages) == len(heard.messages) == 2
    assert "a listener has failed on Pause()" in caplog.text


def test_a_listener_may_use_the_stream_while_it_is_told() -> None:
    stream, heard = MessageStream(), Heard()

    class Curious(Heard):
        def put(self, message: Message) -> None:
            super().put(message)
            if isinstance(message, Pause):
                stream.put("a", Resume())
                stream.listen("a", heard)

    curious = Curious()
    stream.listen("a", curious)
    stream.put("a", Pause())
    assert [type(message) for message in curious.messages] == [Pause, Resume]
    assert [type(message) for message in heard.messages] == [Joined, Pause, Resume]


def test_messages_of_many_threads_come_to_each_listener_one_at_a_time_and_each_thread_in_order() -> None:
    stream, heard = MessageStream(), Heard()
    stream.listen("a", heard)
    go = threading.Barrier(4)

    def say(thread: int) -> None:
        go.wait(WAIT_S)
        for number in range(100):
            stream.put("a", Steer(thread=thread, number=number))

    threads = [threading.Thread(target=say, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    told: list[Any] = [vars(message) for message in heard.messages]
    assert len(told) == 400
    for thread in range(4):
        assert [one["number"] for one in told if one["thread"] == thread] == list(range(100))


# ---- monitors


def test_a_monitor_is_told_by_a_method_of_the_class_or_its_base_else_by_the_one_for_all(capsys: Any) -> None:
    class Mine(Monitor):
        def onMonitorSteer(self, message: Message) -> None:
            print("steer", type(message).__name__)

    monitor = Mine()
    for message in (SteerMore(), Improved(3), Progress(1, 2, "steps")):
        monitor.put(message)
    assert capsys.readouterr().out == "steer SteerMore\n> Improved(result=3)\n> Progress: 1 steps of 2\n"


def test_a_monitor_logs_records_with_the_logger_of_their_name(caplog: pytest.LogCaptureFixture) -> None:
    Monitor().put(Log(record("%d points", 5)))
    assert [(one.name, one.getMessage()) for one in caplog.records] == [("lab.fit", "5 points")]
