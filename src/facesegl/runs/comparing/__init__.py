"""Models held against each other on the same photos: what is compared, how far a difference may be luck, the table."""

from facesegl.runs.comparing.comparison import Comparison
from facesegl.runs.comparing.models import compare
from facesegl.runs.comparing.table import comparison_table

__all__ = ["Comparison", "compare", "comparison_table"]
