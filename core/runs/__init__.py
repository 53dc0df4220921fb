"""A run folder: the only door between trainer and studio. Nothing here imports torch."""
