"""The loop IR: expressions, statements, library calls, and the checker."""
