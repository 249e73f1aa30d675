"""clothret: visual search for clothes that you own."""

__version__ = "0.1.0"
