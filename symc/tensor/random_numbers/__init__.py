"""Random numbers: counter-based bits, and the distributions made of them."""
