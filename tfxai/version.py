"""The version, apart from the package so that building it imports no TensorFlow."""

__version__ = "0.1.0"
