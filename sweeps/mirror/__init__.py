"""Copies of a sweep in durable storage."""
