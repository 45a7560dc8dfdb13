"""Trained models for other programs: files, and the proof that they are the same model."""
