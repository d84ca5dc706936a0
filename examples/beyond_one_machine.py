"""One pool, on other machines or here: calls, a calculation, and who has done it.

    python examples/beyond_one_machine.py                              here
    python examples/beyond_one_machine.py --hosts 'node1*4' node2      over ssh
    python examples/beyond_one_machine.py --fabric slurm --hosts 6     in a queue
    mpiexec -n 4 python -m tracking.fabrics.mpi examples/beyond_one_machine.py
"""

import argparse
import collections
import socket
import time

from places import add_options, places

from tracking import SlavePool, TrackingJobMaster


def square_here(value):
    time.sleep(0.005)
    return value * value, socket.gethostname()


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
add_options(parser)

with SlavePool(**places(parser.parse_args())) as pool:
    # A pool is a concurrent.futures.Executor ...
    assert list(pool.map(pow, range(20), [2] * 20)) == [n * n for n in range(20)]

    # ... and serves masters, one after the other or several at once.
    master = TrackingJobMaster({n: n for n in range(400)}, chunk_size=5, function=square_here, pool=pool)
    result = master.calculateResult()

assert {n: square for n, (square, _) in result.items()} == {n: n * n for n in range(400)}
shares = collections.Counter(host for _, host in result.values())
print("; ".join(f"{host} has done {count}" for host, count in sorted(shares.items())))
