"""From rewards and log-probabilities to a loss: advantages, clipped objective, regularisers."""
