"""Many trainings from one command: running them, what they left, and both as tables and as a page."""
