"""Slaves as jobs of queueing systems: what they have in common is here, each engine in a folder of its own."""
