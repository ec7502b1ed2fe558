"""What the flat latents are drawn from: where it starts, its frame, its hypernetwork, its context.

start, steps → frame → latent → conditional
"""
