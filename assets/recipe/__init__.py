"""The recipe that trained the embedded models, one command a stage (see README.md beside this file)."""
