"""Why: the story of one item, and what goes on now; facts in, English out.

::

    facts.py     what is known, as named tuples; what goes on now also as JSON, for the run file
    stories.py   the story of one item, as text
    present.py   what goes on, or why nothing does, as text
    recorded.py  the facts that a run file holds
    finding.py   the item that is meant by what was typed
"""
