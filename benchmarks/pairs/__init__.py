"""Two programs that run the same work in turns, in processes of their own."""
