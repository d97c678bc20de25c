"""SmartTrade: the backend behind crypto charts."""

__version__ = "0.2.0"
