"""Everything about a live feed of candles that no single venue decides."""
