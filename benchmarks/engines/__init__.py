"""Time from start to first result, and what comes after it, on each engine that is there.

`python -m benchmarks engines`. Each trial is a fresh process that has imported all it needs before its clock starts:

    command ── Popen ──> trial ── start, work, close ──> the engine: ssh, Slurm, Grid Engine, MPI, Dask
      ^                    │                                └─> workers: each item says on whom it ran
      └─ a line of JSON <──┘ looks for these processes until none of them is left
"""
