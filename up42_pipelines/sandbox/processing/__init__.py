"""Processes and jobs."""
