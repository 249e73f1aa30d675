"""Thin Prefect tasks: resolve settings, make one library call, log a summary, leave artifacts."""
