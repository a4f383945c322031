"""Complex numbers: every op on them is made of ops on their real and imaginary parts."""
