"""The one place that holds the software's version (the API's own version is part of the contract, not this)."""

__version__ = "0.1.0"
