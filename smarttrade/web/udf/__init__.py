"""TradingView's UDF. Only some front ends speak it: `app.py` imports it when one does."""
