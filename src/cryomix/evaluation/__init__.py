"""Scores against a known truth and between halves."""
