"""What is built from this repository, and whether it works where nothing else is: `make package`."""
