-- What `vim.lsp.enable('aix')` starts; `vim.lsp.config('aix', {...})` of the user comes on top of it.
return require('aix.server').config()
