"""Images: windows, resizing, blur and noise."""

__all__ = []
