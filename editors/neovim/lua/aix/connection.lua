--- The connection to the server's process. It adds to Neovim's own:
---
--- - An answer is taken for the place where the cursor is now. What was typed meanwhile is cut off it; an answer that
---   does not fit there, or that a later request makes old, is dropped. Neovim shows what comes, wherever.
--- - The end of a process that nobody asked to end is told apart from one that was.

local offer = require('aix.offer')
local shown = require('aix.shown')

local M = {}

--- The buffer that a request is about. `vim.uri_to_bufnr` would make one where there is none any more.
---@param uri string
---@return integer?
local function buffer_of(uri)
  local buffers = { vim.api.nvim_get_current_buf(), unpack(vim.api.nvim_list_bufs()) }
  return vim.iter(buffers):find(function(buffer)
    return vim.api.nvim_buf_is_loaded(buffer) and vim.uri_from_bufnr(buffer) == uri
  end)
end

--- The number of the latest request of a buffer.
---@type table<integer, integer>
local latest = {}

---@param client string name of the client
---@param params lsp.InlineCompletionParams
---@param callback fun(err?: lsp.ResponseError, result: any, id: integer)
---@param encoding fun(): 'utf-8'|'utf-16'|'utf-32'
---@return fun(err?: lsp.ResponseError, result: any, id: integer)
local function only_where_it_fits(client, params, callback, encoding)
  local buffer = buffer_of(params.textDocument.uri)
  if not buffer then
    return callback
  end
  local number = (latest[buffer] or 0) + 1
  latest[buffer] = number
  local asked = offer.moment(buffer)
  return function(err, result, id)
    -- who went to another buffer, closed this one or switched completions off meanwhile waits for nothing
    if latest[buffer] ~= number or vim.api.nvim_get_current_buf() ~= buffer or not shown.takes(buffer, client) then
      return
    end
    if err or type(result) ~= 'table' then
      return callback(err, result, id)
    end
    local unchanged = offer.moment(buffer) == asked
    local cursor = offer.cursor(buffer)
    local items = {}
    for _, item in ipairs(result.items or result) do
      local cut = cursor and offer.cut(buffer, item, cursor, encoding())
      table.insert(items, cut or (unchanged and item) or nil)
    end
    -- an empty answer takes away what is shown: right for this place, wrong for another
    if #items > 0 or unchanged then
      callback(nil, { items = items }, id)
    end
  end
end

--- Start the server's process. `ended` is called once, when it has ended, with whether somebody asked for that, and
--- whether it had ever been ready.
---@param command string[]
---@param dispatchers vim.lsp.rpc.Dispatchers
---@param config vim.lsp.ClientConfig
---@param ended fun(asked: boolean, was_ready: boolean, code: integer, signal: integer)
---@return vim.lsp.rpc.PublicClient
function M.start(command, dispatchers, config, ended)
  local asked_to_end, was_ready = false, false
  local encoding = 'utf-16'

  local inner = vim.lsp.rpc.start(
    command,
    vim.tbl_extend('force', dispatchers, {
      on_exit = function(code, signal)
        -- the end that nobody asked for is told by us, once
        dispatchers.on_exit(asked_to_end and code or 0, asked_to_end and signal or 0)
        vim.schedule(function()
          ended(asked_to_end, was_ready, code, signal)
        end)
      end,
    }),
    {
      cwd = config.cmd_cwd,
      -- a Python that is started with -m would import what lies in the current folder, which is somebody's project
      env = vim.tbl_extend('keep', config.cmd_env or {}, { PYTHONSAFEPATH = '1' }),
      detached = config.detached,
    }
  )

  local connection = setmetatable({}, { __index = inner })

  function connection.request(method, params, callback, replied)
    if method == 'shutdown' then
      asked_to_end = true
    elseif method == 'initialize' then
      local callback_of_client = callback
      callback = function(err, result, id)
        was_ready = result ~= nil
        encoding = vim.tbl_get(result or {}, 'capabilities', 'positionEncoding') or encoding
        callback_of_client(err, result, id)
      end
    elseif method == 'textDocument/inlineCompletion' then
      callback = only_where_it_fits(config.name, params, callback, function()
        return encoding
      end)
    end
    return inner.request(method, params, callback, replied)
  end

  function connection.terminate()
    asked_to_end = true
    inner.terminate()
  end

  return connection
end

return M
