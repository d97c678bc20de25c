"""`/metrics`, in Prometheus' words. Imported when somebody watches."""
