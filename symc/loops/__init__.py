"""The loop IR: expressions, statements, library routines, and the checker."""
