"""What the documentation site is built with: the reader of pages, and the tables generated from the code."""
