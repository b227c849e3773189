"""Rotations, placements and Fourier grids: tensors to tensors."""
