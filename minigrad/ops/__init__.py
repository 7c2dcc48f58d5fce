"""The op table: one declaration an op."""
