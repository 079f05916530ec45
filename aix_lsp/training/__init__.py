"""From source code to a model: the corpus, structured fill-in-the-middle samples, and training.

Installed with the extra `train`. The method is the one that aiXcoder-7B's authors describe (aiXcoder-7B: A Lightweight
and Effective Large Language Model for Code Processing, Jiang et al. 2024): clean and order whole projects, cut samples
whose middle is a complete node of the syntax tree, and train on them mixed with plain text from left to right.
"""
