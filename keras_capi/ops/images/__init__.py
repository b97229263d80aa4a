"""Pictures: windows, sizes, blur and noise."""

__all__ = []
