"""Draws as Pyro sees them: each site in its plates, and rows that have a posterior of their own."""
