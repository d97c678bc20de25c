"""`/metrics`, in Prometheus' words. Imported at the first scrape."""
