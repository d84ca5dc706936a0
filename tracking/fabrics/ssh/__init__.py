"""Slaves on hosts that are reached by ssh: one connection a host, through which all goes."""
