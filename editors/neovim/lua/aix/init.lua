--- aix-lsp in Neovim: inline completions from a model on your own machine. |aix.txt| has the manual.

local M = {}

local group = 'aix'

---@param buffer integer
local function show_in(buffer)
  -- somebody who switched inline completion off for all of Neovim meant it
  if vim.g._lsp_enabled_inline_completion ~= false then
    vim.lsp.inline_completion.enable(true, { bufnr = buffer })
  end
  vim.api.nvim_create_autocmd({ 'CursorMovedI', 'TextChangedI', 'TextChangedP' }, {
    group = vim.api.nvim_create_augroup(('%s.buffer.%d'):format(group, buffer), {}),
    buffer = buffer,
    desc = 'aix: take away what does not fit any more',
    callback = function(event)
      require('aix.shown').refit(event.buf)
    end,
  })
end

local started = false

--- Start for the files that are opened, unless the options say otherwise. The plugin calls this by itself.
function M.start()
  if started then
    return
  end
  started = true
  vim.api.nvim_create_autocmd('LspAttach', {
    group = vim.api.nvim_create_augroup(group, {}),
    desc = 'aix: show completions',
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      local server = require('aix.server')
      if client and client.name == server.name then
        server.tell_folders(client)
        require('aix.keymaps').map()
        show_in(event.buf)
      end
    end,
  })
  if require('aix.config').get().enabled then
    require('aix.server').enable()
  end
end

--- Options; not needed where the defaults will do. May be called before or after the plugin is loaded,
--- and again: settings that hold without a restart then hold at once.
---@param options? aix.Options
function M.setup(options)
  require('aix.config').set(options)
  if started then
    require('aix.server').apply()
  end
end

--- Take the whole offer. False where none is shown: a mapping can do something else then.
---@return boolean
function M.accept()
  return require('aix.accept').accept('all')
end

--- Take the next word of the offer; the rest stays shown.
---@return boolean
function M.accept_word()
  return require('aix.accept').accept('word')
end

--- Take the rest of the offer's line; what follows stays shown.
---@return boolean
function M.accept_line()
  return require('aix.accept').accept('line')
end

--- Show the next candidate.
---@return boolean
function M.next()
  return require('aix.accept').select(1)
end

--- Show the previous candidate.
---@return boolean
function M.prev()
  return require('aix.accept').select(-1)
end

--- Take the offer away until something is typed.
---@return boolean
function M.dismiss()
  return require('aix.accept').dismiss()
end

--- Ask for an offer here, also where none comes by itself. In insert mode.
---@return boolean
function M.trigger()
  return require('aix.accept').trigger()
end

--- Whether an offer is shown that `accept()` would take.
---@return boolean
function M.is_shown()
  return require('aix.shown').now(vim.api.nvim_get_current_buf()) ~= nil
end

--- For the 'statusline': `%{v:lua.require'aix'.statusline()}`.
---@return string
function M.statusline()
  return require('aix.status').line()
end

--- What the server of a buffer is doing; nil where it has none.
---@param buffer? integer
---@return aix.Status?
function M.status(buffer)
  return require('aix.status').of(buffer)
end

return M
