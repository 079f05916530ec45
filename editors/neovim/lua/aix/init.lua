--- aix-lsp in Neovim: inline completions from a model on your own machine. |aix.txt| has the manual.

local M = {}

local group = 'aix'

---@param buffer integer
local function show_in(buffer)
  -- somebody who switched inline completion off, for all of Neovim or for this buffer, meant it
  local off = vim.g._lsp_enabled_inline_completion == false or vim.b[buffer]._lsp_enabled_inline_completion == false
  if not off then
    vim.lsp.inline_completion.enable(true, { bufnr = buffer })
  end
  local of_buffer = vim.api.nvim_create_augroup(('%s.buffer.%d'):format(group, buffer), {})
  vim.api.nvim_create_autocmd({ 'CursorMovedI', 'TextChangedI', 'TextChangedP' }, {
    group = of_buffer,
    buffer = buffer,
    desc = 'aix: take away what does not fit any more',
    callback = function(event)
      require('aix.shown').refit(event.buf)
    end,
  })
  -- to replace mode with <Insert>, to another window with the mouse: insert mode is not left by either
  vim.api.nvim_create_autocmd({ 'InsertChange', 'BufLeave' }, {
    group = of_buffer,
    buffer = buffer,
    desc = 'aix: take away what is not offered any more',
    callback = function(event)
      require('aix.shown').hide(event.buf)
    end,
  })
  -- twice: Neovim schedules the beginning of its own module behind this
  vim.schedule(function()
    vim.schedule(function()
      require('aix.shown').ask_for_typist(buffer)
    end)
  end)
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
  local config, server = require('aix.config'), require('aix.server')
  local was_enabled = not started or config.get().enabled
  config.set(options)
  if started then
    server.apply()
    if config.get().enabled and not was_enabled then
      server.enable()
    end
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
