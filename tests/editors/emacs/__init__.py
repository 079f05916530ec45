"""What the tests in the real Emacs need."""
