"""Editors for the tests, from Debian's and npm's packages by name, in a cache folder; the system is not touched.

`python -m tests.editors.install neovim emacs vscode` installs what is named (without a name all) and says what it
does.
"""
