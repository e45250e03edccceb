"""One page that shows a run or a sweep: its curves, charts and pictures, in a file that needs nothing beside it."""
