"""What happens when things go wrong: the same bad items over this package and its peers.

`python -m benchmarks faults`. Each trial is a program of its own at a terminal of its own, and has 45 s:

    stage ── Popen ──> trial ──> the contender's workers, that run `troubles.work`
      ^  a line of JSON for each answer │             │
      └─ a terminal: what they print,   │             └─> log: one line for each time that an item is begun
         and Ctrl-C from the user <─────┘
"""
