"""From a graph to code: plan, text, and the arrays to run it on."""
