"""`workbench doctor`: what this machine and checkout can do, what is missing, what mends it."""
