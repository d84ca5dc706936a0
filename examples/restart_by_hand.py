"""A calculation is interrupted and goes on later: from a restart file, then with a master made by hand.

With ``run_file=`` none of this is needed: results are recorded as they come, and the same call goes on.
"""

import collections
import pathlib
import tempfile
import time

import tracking

folder = tempfile.TemporaryDirectory()
diary = pathlib.Path(folder.name) / "diary"
restart_file = pathlib.Path(folder.name) / "squares.rst"
data = {n: n for n in range(60)}
expected = {n: n * n for n in data}


def square(value):
    """Square slowly, and note in the diary that this item was run."""
    time.sleep(0.01)
    with diary.open("a") as file:
        file.write(f"{value}\n")
    return value * value


def start_and_interrupt():
    """Return a master that was stopped when it had at least ten results."""
    master = tracking.TrackingJobMaster(data, chunk_size=2, function=square, verbose=0)
    master.start()
    for count, _ in enumerate(master, start=1):
        if count == 10:
            break
    master.exit()
    master.join()  # nothing changes from here on
    return master


def assert_finished_items_ran_once(finished):
    """Fail if an item that was finished before the interruption has been run again."""
    runs = collections.Counter(int(line) for line in diary.read_text().split())
    assert set(runs) == set(data)
    assert all(runs[id] == 1 for id in finished)


# 1. Saved to a file, resumed by restart(), here or in another program.
master = start_and_interrupt()
master.saveRst(restart_file)
finished = dict(master.result)
assert 10 <= len(finished) < len(data)
assert all(expected[id] == value for id, value in finished.items())

assert tracking.restart(restart_file).calculateResult() == expected
assert_finished_items_ran_once(finished)
print(f"restart(): {len(finished)} of {len(data)} results were there already")

# 2. By hand: a new master with the same parameters takes over three fields.
diary.unlink()
master = start_and_interrupt()
finished = dict(master.result)

successor = tracking.TrackingJobMaster(data, chunk_size=2, function=square, verbose=0)
successor.data = master.data
successor.result = master.result
# 0: finished, None: not started. Items that were under way begin anew.
successor.status.objects = {id: 0 if id in finished else None for id in data}

assert successor.calculateResult() == expected
assert_finished_items_ran_once(finished)
print(f"by hand: {len(finished)} of {len(data)} results were there already")

folder.cleanup()
