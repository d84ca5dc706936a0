"""The run file (SQLite) and the restart file: what is kept of a calculation."""
