"""The command `keras-capi`."""
