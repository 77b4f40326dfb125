"""Vectors to neighbours and maps: the index, the shared k-nearest-neighbour graph, the 2-D layouts."""
