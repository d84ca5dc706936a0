from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tracking.errors import ProtocolError
from tracking.wire import codec, mapped
from tracking.wire.codec import Payload
from tracking.wire.mapped import SharedPayload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared without a name only on Linux")

ROOT = Path(__file__).parents[2]
MB = 1 << 20

# Opens what it is sent, and says what it found and what memory of its own that took.
CHILD = """
import pickle, sys
import numpy
from tracking.wire import codec, mapped

def own_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

while True:
    shared = pickle.load(sys.stdin.buffer)
    before = own_memory()
    array = codec.decode(mapped.open_shared(shared))
    total = float(array.sum())
    grown = own_memory() - before
    pickle.dump((total, array.flags.writeable, array.flags.aligned, grown), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.communicate()


def ask(child: subprocess.Popen[bytes], shared: SharedPayload) -> tuple[float, bool, bool, int]:
    assert child.stdin is not None
    assert child.stdout is not None
    pickle.dump(shared, child.stdin)
    child.stdin.flush()
    answer: tuple[float, bool, bool, int] = pickle.load(child.stdout)
    return answer


def share(payload: Payload) -> SharedPayload:
    shared = mapped.share(payload)
    assert shared is not None
    return shared


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def large_payload() -> Payload:
    return codec.encode(np.arange(MB, dtype=np.float64), "array")


def test_another_process_reads_a_large_array_without_a_copy_of_its_own(
    child: subprocess.Popen[bytes],
) -> None:
    with share(large_payload()) as shared:
        total, is_writable, is_aligned, grown = ask(child, shared)
    assert total == MB * (MB - 1) / 2
    assert not is_writable
    assert is_aligned
    assert grown < MB  # of 8


def test_arrays_that_were_opened_outlive_the_closing(child: subprocess.Popen[bytes]) -> None:
    with share(large_payload()) as shared:
        array = codec.decode(mapped.open_shared(shared))
    gc.collect()
    assert isinstance(array, np.ndarray)
    assert array[-1] == MB - 1


def test_nothing_is_left_open_after_the_end() -> None:
    before = open_fds()
    with share(large_payload()) as shared:
        array = codec.decode(mapped.open_shared(shared))
        assert open_fds() > before
    del array
    shared.close()
    assert open_fds() == before


def test_what_was_closed_can_not_be_opened() -> None:
    shared = share(large_payload())
    shared.close()
    with pytest.raises(ProtocolError, match="cannot be opened"):
        mapped.open_shared(shared)


def test_another_file_under_the_same_name_is_not_taken_for_it() -> None:
    first = share(large_payload())
    announced = pickle.loads(pickle.dumps(first))
    first.close()
    with share(large_payload()) as second:
        assert second._path == announced._path
        with pytest.raises(ProtocolError, match="not the shared memory that was announced"):
            mapped.open_shared(announced)


def test_a_copy_that_travelled_owns_nothing() -> None:
    with share(large_payload()) as shared:
        copy = pickle.loads(pickle.dumps(shared))
        assert len(pickle.dumps(shared)) < 300
        assert copy.size == shared.size == large_payload().size
        copy.close()
        assert mapped.open_shared(shared).size == shared.size


def test_several_buffers_and_a_large_pickle_come_back_as_they_were() -> None:
    things = [np.arange(100_000), "x" * MB, np.asfortranarray(np.ones((300, 301))), b"y" * 100_000]
    with share(codec.encode(things, "things")) as shared:
        result = codec.decode(mapped.open_shared(shared))
    assert isinstance(result, list)
    assert all(np.array_equal(mine, its) for mine, its in zip(things, result, strict=True))
    assert result[2].flags.f_contiguous
    assert not result[0].flags.writeable


def test_the_memory_can_not_be_changed_by_anybody() -> None:
    with share(large_payload()) as shared:
        fd = os.open(shared._path, os.O_RDWR)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        os.close(fd)


def test_a_small_payload_is_not_shared() -> None:
    assert mapped.share(codec.encode([1, 2, 3], "list")) is None


def test_a_system_without_such_memory_is_answered_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, flags: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)
    before = open_fds()
    assert mapped.share(large_payload()) is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert mapped.share(large_payload()) is None
    assert open_fds() == before


def test_too_little_memory_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, data: memoryview, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    before = open_fds()
    assert mapped.share(large_payload()) is None
    assert open_fds() == before


def test_the_memory_goes_with_a_master_that_is_killed() -> None:
    code = (
        "import pickle, sys\n"
        "from tracking.wire import codec, mapped\n"
        "shared = mapped.share(codec.encode(b'x' * 2_000_000, 'x'))\n"
        "pickle.dump(shared, sys.stdout.buffer)\n"
        "sys.stdout.buffer.flush()\n"
        "sys.stdin.read()\n"
    )
    master = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert master.stdout is not None
    shared = pickle.load(master.stdout)
    assert codec.decode(mapped.open_shared(shared)) == b"x" * 2_000_000
    master.kill()
    master.communicate()
    with pytest.raises(ProtocolError, match="cannot be opened"):
        mapped.open_shared(shared)


def test_it_is_known_whether_the_same_bytes_lie_in_it() -> None:
    array = np.arange(MB, dtype=np.float64)
    with share(codec.encode([array, "text"], "array")) as shared:
        assert shared.holds(codec.encode([array.copy(), "text"], "array"))
        assert not shared.holds(codec.encode([array, "other"], "array"))
        assert not shared.holds(codec.encode([array[:-1], "text"], "array"))
        array[-1] += 1
        assert not shared.holds(codec.encode([array, "text"], "array"))
    assert shared.is_closed
    assert not shared.holds(codec.encode([array, "text"], "array"))


def test_children_find_by_its_key_what_their_parent_has_got(child: subprocess.Popen[bytes]) -> None:
    with share(large_payload()) as shared:
        copy = mapped.empty_memory(shared.key)
        source = shared.descriptor()
        assert os.sendfile(copy, source, 0, shared.extent) == shared.extent == os.fstat(source).st_size
        os.close(source)
        mapped.seal(copy)
        elsewhere = SharedPayload("/dev/null", shared.key, shared._parts)
    assert ask(child, elsewhere)[0] == MB * (MB - 1) / 2
    os.close(copy)


def test_what_was_closed_has_no_descriptor_to_give() -> None:
    shared = share(large_payload())
    shared.close()
    with pytest.raises(OSError, match="was closed"):
        shared.descriptor()
