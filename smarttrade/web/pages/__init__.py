"""The pages: the chart at `/`, and two to look into the service."""

from .chart import add_chart
from .inspection import add_inspection

__all__ = ["add_chart", "add_inspection"]
