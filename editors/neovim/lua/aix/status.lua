--- What the servers say that they are doing (`aix/status`), for a status line.

local M = {}

---@class aix.Status
---@field state 'loading'|'indexing'|'ready'|'busy'|'degraded'|'failed'|'off'|'paused'
---@field message string one line for a person
---@field model? string
---@field device? string
---@field latencyMs? number of the latest offer
---@field language? string of the latest request
---@field offReason? string

---@type table<integer, aix.Status>
local by_client = {}

--- The handler of the notification.
---@param params aix.Status
---@param context lsp.HandlerContext
function M.changed(_, params, context)
  for id in pairs(by_client) do
    if not vim.lsp.get_client_by_id(id) then
      by_client[id] = nil
    end
  end
  local status = {}
  for name, value in pairs(params) do
    status[name] = value ~= vim.NIL and value or nil
  end
  by_client[context.client_id] = status
  vim.api.nvim_exec_autocmds('User', { pattern = 'AixStatus', modeline = false, data = status })
  vim.cmd.redrawstatus({ bang = true })
end

--- The status of the server of a buffer; nil where it has none.
---@param buffer? integer
---@return aix.Status?
function M.of(buffer)
  local client = vim.lsp.get_clients({ name = 'aix', bufnr = buffer or 0 })[1]
  return client and (by_client[client.id] or { state = 'loading', message = 'starting' })
end

local words = { ready = 'aix', busy = 'aix…' }

--- For the 'statusline': empty in a buffer without the server, `aix` when all is well, else a word for what is not.
---@return string
function M.line()
  -- in a status line the current buffer is the one of the window that is drawn
  local status = M.of(vim.api.nvim_get_current_buf())
  return status and (words[status.state] or ('aix (%s)'):format(status.state)) or ''
end

return M
