"""Short guided runs, a file each: `pages()` yields text, and computes every figure in it."""
