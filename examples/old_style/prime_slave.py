"""The slave of ``prime_master.py``, in the style of the time: a program of its own, given its nice value."""
# ruff: noqa: UP031  - the idioms of the time

import os.path

from tracking import JobSlave


class PrimeSlave(JobSlave):
    """Counts the primes in intervals."""

    def initialize(self, params):
        """
        @param params: {str: any}, what the master's getInitParameters returned
        """
        self.__dict__.update(params)
        self.n_jobs = 0

    def note(self, interval):
        """Keep a trace of what was done, as slaves did that wrote large results to files."""
        with open(os.path.join(self.scratch, self.nickname), 'a') as f:
            f.write('%i %i\n' % interval)

    def count(self, first, last):
        """@return int, number of primes p with first <= p < last"""
        is_prime = bytearray([1]) * (last - first)
        for n in range(first, min(2, last)):
            is_prime[n - first] = 0
        for p in self.factors:
            for multiple in range(max(p * p, -(-first // p) * p), last, p):
                is_prime[multiple - first] = 0
        return sum(is_prime)

    def go(self, jobs):
        """
        @param jobs: {int: (int, int)}, number of interval : first, last + 1
        @return {int: int}, number of interval : number of primes
        """
        result = {}

        for i, interval in jobs.items():
            result[i] = self.count(*interval)
            self.note(interval)
            self.n_jobs += 1

        return result


if __name__ == '__main__':

    import os
    import sys

    if len(sys.argv) == 2:

        nice = int(sys.argv[1])
        os.nice(nice)

    slave = PrimeSlave()
    slave.start()
