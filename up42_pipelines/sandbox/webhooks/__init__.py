"""Reporting changes to those who asked."""
