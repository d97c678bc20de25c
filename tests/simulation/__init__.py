"""The service in virtual time, and all that can go wrong with it: docs/simulation.md."""
