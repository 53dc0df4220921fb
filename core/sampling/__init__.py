"""Stochastic denoising that returns log-probabilities: schedule, transition, noise."""
