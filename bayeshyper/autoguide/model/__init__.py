"""A Pyro model seen from outside: its latent sites, its density, its runs, and what it may not do.

outside, sites → admission, marginal → structure, joint        runs apart
"""
