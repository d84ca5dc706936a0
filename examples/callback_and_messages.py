"""Results as they come, a callback at the end, and messages between the master and its slaves meanwhile."""

import time

import tracking

MSG_FACTOR, MSG_NEWS = 1, 2
N_ITEMS = 40


class Multiplier(tracking.JobSlave):
    """Multiplies by a factor that comes as a message, and sends news of each job before its result."""

    def bindMessages(self):
        self.bind(MSG_FACTOR, -1, self.take_factor)  # -1: whoever sends it

    def take_factor(self, factor):
        self.factor = factor

    def go(self, jobs):
        time.sleep(0.05)
        self.send(self.getParent(), MSG_NEWS, (self.getTID(), len(jobs)))
        return {id: value * self.factor for id, value in jobs.items()}


class TalkingMaster(tracking.TrackingJobMaster):
    """Tells each slave the factor, and collects their news."""

    def __init__(self, *args, **options):
        self.news = []
        super().__init__(*args, **options)

    def bindMessages(self, slave_tid):
        self.bind(MSG_NEWS, slave_tid, self.take_news)

    def take_news(self, slave_tid, n_items):
        self.news.append((self.nicknameFromTID(slave_tid), n_items))

    def initializationDone(self, slave_tid):
        # Messages of one sender keep their order: the factor is there before the first job.
        self.send(slave_tid, MSG_FACTOR, (10,))


ended = []
master = TalkingMaster({n: n for n in range(N_ITEMS)}, chunk_size=1, slave_script=Multiplier, redistribute=0)
master.setPingTimeout(5)
master.setCallback(ended.append)
master.start()

answers = {}
for id, result in master:  # in the order in which they come
    assert result == 10 * id
    if not answers:
        busy_slave = master.news[0][0]
        answers[busy_slave] = master.ping(busy_slave)

assert list(answers.values()) == [1]
assert master.wait(timeout=10)
assert ended == [master]
assert len(master.result) == N_ITEMS
assert sum(n_items for _, n_items in master.news) == N_ITEMS
print(f"{len(master.news)} messages from {sorted({nickname for nickname, _ in master.news})}")
