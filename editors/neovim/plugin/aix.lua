-- Defines the commands and starts aix-lsp for the files that are opened. `require('aix').setup()` is not needed.

if vim.g.loaded_aix then
  return
end
vim.g.loaded_aix = true

if vim.fn.has('nvim-0.12') == 0 then
  vim.notify('aix: needs Neovim 0.12 or later, for vim.lsp.inline_completion', vim.log.levels.WARN)
  return
end

require('aix.commands').define()

local function start()
  require('aix').start()
end

-- the user's init.lua, and setup() of who loads this plugin later, have their say first
if vim.v.vim_did_enter == 1 then
  vim.schedule(start)
else
  vim.api.nvim_create_autocmd('VimEnter', { once = true, desc = 'aix: start', callback = start })
end
