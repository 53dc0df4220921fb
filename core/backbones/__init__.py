"""Pretrained pipelines behind one small interface."""
