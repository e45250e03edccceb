"""Many trainings from one command: running them, what they left, and both as tables and as a page."""

from facesegl.runs.sweeping.jobs import best_first, failures
from facesegl.runs.sweeping.running import sweep
from facesegl.runs.sweeping.table import seeds_table, sweep_table

__all__ = ["best_first", "failures", "seeds_table", "sweep", "sweep_table"]
