"""Numbers that describe images: definitions, computation, and what stands out.

Nothing heavy is imported here; numba loads with the first image that is measured.
"""
