"""Runs a method on the authors' arrays, and compares what comes out."""
