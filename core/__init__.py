"""The engine of Manymodes Studio. Knows no screen; a run folder is its only door."""
