"""VS Code in a browser without a screen, driven by keys and clicks."""
