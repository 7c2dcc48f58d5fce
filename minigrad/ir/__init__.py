"""A step of a cell as a graph: traced once, checked, derived from."""
