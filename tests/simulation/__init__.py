"""The whole service in virtual time, and everything that can happen to it: docs/simulation.md."""
