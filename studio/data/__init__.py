"""What the screens show, read from run folders: plain functions without a browser."""
