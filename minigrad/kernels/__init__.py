"""Loops that Numba compiles, and the NumPy code beside them."""
