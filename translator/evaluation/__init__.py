"""Metrics with signatures, validation and tuning."""
