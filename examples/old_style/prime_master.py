"""Counts primes, in the style in which masters were written around 2004.

Kept on purpose: attributes set before ``__init__`` of the base class, which is called by name; one of them
(``log``) named like a method of the base class; the old hooks. For new programs, see ``quick_start.py``.
"""
# ruff: noqa: B006, C404, UP031  - the idioms of the time


import os.path
import sys
import tempfile

from tracking import TrackingJobMaster


class PrimeLog:
    """A log as programs then made themselves."""

    def __init__(self):
        self.lines = []

    def add(self, message):
        self.lines.append(message)


class PrimeMaster(TrackingJobMaster):
    """Counts the primes below a limit, interval by interval."""

    slave_script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'prime_slave.py')

    def __init__(self, limit, interval=10000, hosts=[], fout=None, log=None,
                 verbose=1, add_hosts=1, show_x=0):
        self.limit = limit
        self.interval = interval
        self.fout = fout
        self.log = log or PrimeLog()
        self.hosts = hosts
        self.verbose = verbose
        self.scratch = tempfile.mkdtemp(prefix='primes_')
        self.n_primes = None

        data = self.setupJobs()
        self.log.add('%i intervals' % len(data))

        TrackingJobMaster.__init__(self, data=data, chunk_size=4, hosts=hosts,
                                   niceness={'default': 10},
                                   slave_script=self.slave_script,
                                   show_output=show_x, verbose=verbose,
                                   add_hosts=add_hosts, redistribute=1)

    def setupJobs(self):
        """@return {int: (int, int)}, number of interval : first, last + 1"""
        starts = range(0, self.limit, self.interval)
        return dict([(i, (n, min(n + self.interval, self.limit))) for i, n in enumerate(starts)])

    def getInitParameters(self, slave_tid):
        """
        @param slave_tid: int, slave's task id
        @return {str: any}, becomes attributes of the slave
        """
        self.log.add('slave on %s is %s' % (self.hostnameFromTID(slave_tid), self.nicknameFromTID(slave_tid)))
        largest = int(self.limit ** 0.5) + 1
        factors = [n for n in range(2, largest + 1) if all(n % d for d in range(2, int(n ** 0.5) + 1))]
        return {'factors': factors, 'scratch': self.scratch, 'nickname': self.nicknameFromTID(slave_tid)}

    def cleanup(self):
        """Called when all slaves have gone: their scratch files can go, too."""
        for fname in os.listdir(self.scratch):
            os.remove(os.path.join(self.scratch, fname))
        os.rmdir(self.scratch)

    def done(self):
        """Called once at the end."""
        self.n_primes = sum(self.result.values())
        self.log.add('%i of %i intervals done' % (len(self.result), len(self.data)))
        self.log.add('%i slaves on %i hosts' % (len(self.progress), len(self.hosts)))
        if self.fout:
            with open(self.fout, 'w') as f:
                f.write('%i\n' % self.n_primes)

    def getResult(self, **arg):
        """@return int, number of primes below the limit"""
        return self.n_primes


if __name__ == '__main__':
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    fout = os.path.join(tempfile.mkdtemp(), 'n_primes.txt')

    master = PrimeMaster(limit, fout=fout, verbose=1)
    n_primes = master.calculateResult()

    print('%i primes below %i' % (n_primes, limit))
    print('\n'.join(master.log.lines))

    assert limit != 1000000 or n_primes == 78498
    with open(fout) as f:
        assert int(f.read()) == n_primes
    assert not master.status.not_done()
    assert not os.path.exists(master.scratch)
    assert '%i of %i intervals done' % (len(master.data), len(master.data)) in master.log.lines

    os.remove(fout)
    os.rmdir(os.path.dirname(fout))
