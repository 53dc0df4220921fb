"""Images and prompts -> scores. Names are in `names` (light), the rewards themselves in `registry` (needs torch)."""
