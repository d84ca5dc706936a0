"""Quick start: a dict and a function, over all cores. Then the same with a slave class of one's own."""

import tracking

offset = 10
result = tracking.run(lambda value: value**2 + offset, {n: n for n in range(1000)})
assert result == {n: n**2 + 10 for n in range(1000)}


class Powers(tracking.JobSlave):
    """Raises numbers to a power that the master tells each slave once."""

    def initialize(self, params):
        self.exponent = params["exponent"]

    def go(self, jobs):
        return {id: value**self.exponent for id, value in jobs.items()}


class Cubes(tracking.TrackingJobMaster):
    """Sends its slaves the exponent, and sums up what they found."""

    def getInitParameters(self, slave_tid):
        return {"exponent": 3}

    def getResult(self):
        return sum(self.result.values())


told = []
master = Cubes({n: n for n in range(1000)}, chunk_size=50, slave_script=Powers)
master.setCallback(lambda master: told.append(master.getResult()))

with master.lock:
    master.start()  # returns at once
    master.lockMsg.wait()  # until all is done

assert master.getResult() == sum(n**3 for n in range(1000))
assert master.wait(timeout=10)  # the callback is over, too
assert told == [master.getResult()]
print(f"{len(result)} squares; the cubes sum up to {told[0]}")
