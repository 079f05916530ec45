--- The connection to the server's process. It adds to Neovim's own:
---
--- - An answer is taken for the place where the cursor is now. What was typed meanwhile is cut off it; an answer that
---   does not fit there, or that a later request makes old, is dropped. Neovim shows what comes, wherever.
--- - The end of a process that nobody asked to end is told apart from one that was.

local offer = require('aix.offer')

local M = {}

---@param buffer integer
---@return string what is different as soon as the text changes or the cursor moves
local function moment(buffer)
  local cursor = offer.cursor(buffer)
  local tick = vim.api.nvim_buf_get_changedtick(buffer)
  return ('%d:%d:%d'):format(tick, cursor and cursor.row or -1, cursor and cursor.col or -1)
end

--- The number of the latest request of a buffer.
---@type table<integer, integer>
local latest = {}

---@param params lsp.InlineCompletionParams
---@param callback fun(err?: lsp.ResponseError, result: any, id: integer)
---@param encoding fun(): 'utf-8'|'utf-16'|'utf-32'
---@return fun(err?: lsp.ResponseError, result: any, id: integer)
local function only_where_it_fits(params, callback, encoding)
  local buffer = vim.uri_to_bufnr(params.textDocument.uri)
  local number = (latest[buffer] or 0) + 1
  latest[buffer] = number
  local asked = moment(buffer)
  return function(err, result, id)
    if latest[buffer] ~= number or not vim.api.nvim_buf_is_loaded(buffer) then
      return
    end
    if err or type(result) ~= 'table' then
      return callback(err, result, id)
    end
    local unchanged = moment(buffer) == asked
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

--- Start the server's process. `ended` is called once, when it has ended, with whether somebody asked for that.
---@param command string[]
---@param dispatchers vim.lsp.rpc.Dispatchers
---@param config vim.lsp.ClientConfig
---@param ended fun(asked: boolean, code: integer, signal: integer)
---@return vim.lsp.rpc.PublicClient
function M.start(command, dispatchers, config, ended)
  local asked_to_end = false
  local encoding = 'utf-16'

  local inner = vim.lsp.rpc.start(
    command,
    vim.tbl_extend('force', dispatchers, {
      on_exit = function(code, signal)
        -- the end that nobody asked for is told by us, once
        dispatchers.on_exit(asked_to_end and code or 0, asked_to_end and signal or 0)
        vim.schedule(function()
          ended(asked_to_end, code, signal)
        end)
      end,
    }),
    { cwd = config.cmd_cwd, env = config.cmd_env, detached = config.detached }
  )

  local connection = setmetatable({}, { __index = inner })

  function connection.request(method, params, callback, replied)
    if method == 'shutdown' then
      asked_to_end = true
    elseif method == 'initialize' then
      local callback_of_client = callback
      callback = function(err, result, id)
        encoding = vim.tbl_get(result or {}, 'capabilities', 'positionEncoding') or encoding
        callback_of_client(err, result, id)
      end
    elseif method == 'textDocument/inlineCompletion' then
      callback = only_where_it_fits(params, callback, function()
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
