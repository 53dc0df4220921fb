"""The perceptual space: embed, distance, clusters, looks, bonus, metrics, map. Leaves: tensors in, tensors out.

Nothing is imported here, so that looks and projection stay usable without torch.
"""
