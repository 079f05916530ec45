--- What Neovim's own module shows at the moment, and how to change it.
---
--- `vim.lsp.inline_completion` asks, shows and accepts whole offers, automatically alone. Asking explicitly, accepting
--- parts and taking away what does not fit any more need its object for the buffer, which is not part of its public
--- interface. Nothing else in this plugin touches it; where a Neovim has another one, `works()` is false and those
--- three do what the public interface can.

local offer = require('aix.offer')

local M = {}

local methods = { 'request', 'handler', 'hide', 'reset_timer' }

---@return table? class
local function class()
  local good, found = pcall(function()
    require('vim.lsp.inline_completion')
    return require('vim.lsp._capability').all.inline_completion
  end)
  if not good or type(found) ~= 'table' or type(found.active) ~= 'table' then
    return nil
  end
  for _, name in ipairs(methods) do
    if type(found[name]) ~= 'function' then
      return nil
    end
  end
  return found
end

--- Whether Neovim's module is one that this plugin knows.
---@return boolean
function M.works()
  return class() ~= nil
end

---@param buffer integer
---@return table?
local function completor(buffer)
  local found = class()
  return found and found.active[buffer]
end

--- Whether the answers of a client are still waited for in a buffer. Neovim's handler fails where they are not.
---@param buffer integer
---@param client_name string
---@return boolean
function M.takes(buffer, client_name)
  local found = class()
  if not found then
    return vim.api.nvim_buf_is_loaded(buffer)
  end
  for id in pairs(found.active[buffer] and found.active[buffer].client_state or {}) do
    local client = vim.lsp.get_client_by_id(id)
    if client and client.name == client_name then
      return true
    end
  end
  return false
end

---@class aix.Shown
---@field client_id integer
---@field start aix.Place where the offer begins
---@field cursor aix.Place
---@field rest string what is left of it at the cursor, never empty
---@field command? lsp.Command

--- An item of Neovim's module as far as it fits at the cursor.
---@param buffer integer
---@param item vim.lsp.inline_completion.Item
---@return aix.Shown?
function M.fitting(buffer, item)
  local cursor = offer.cursor(buffer)
  if not cursor or type(item.insert_text) ~= 'string' then
    return nil
  end
  local start = cursor
  if item.range then
    local row, col = item.range:to_extmark()
    start = { row = row, col = col }
  end
  local rest = offer.rest(buffer, start, cursor, item.insert_text --[[@as string]])
  return rest
    and { client_id = item.client_id, start = start, cursor = cursor, rest = rest, command = item.command }
end

--- The offer that is shown in a buffer and fits at the cursor.
---@param buffer integer
---@return aix.Shown?
function M.now(buffer)
  local found = completor(buffer)
  return found and found.current and M.fitting(buffer, found.current)
end

--- How many candidates there are, fitting or not.
---@param buffer integer
---@return integer
function M.candidates(buffer)
  local found, count = completor(buffer), 0
  for _, state in pairs(found and found.client_state or {}) do
    count = count + #(state.items or {})
  end
  return count
end

--- Show what is left of an offer, at the cursor.
---@param buffer integer
---@param client_id integer
---@param text string
---@param command? lsp.Command
function M.show(buffer, client_id, text, command)
  local found, client = completor(buffer), vim.lsp.get_client_by_id(client_id)
  local cursor = offer.cursor(buffer)
  if found and client and cursor and found.client_state[client_id] then
    local here = offer.to_position(buffer, cursor, client.offset_encoding)
    local item = { insertText = text, range = { start = here, ['end'] = here }, command = command }
    found:handler(nil, { items = { item } }, { client_id = client_id, bufnr = buffer })
  end
end

--- Take away what is shown, until the next answer.
---@param buffer integer
function M.hide(buffer)
  local found = completor(buffer)
  if found then
    found.current = nil
    found:hide()
  end
end

--- When a buffer was last asked for explicitly.
---@type table<integer, string>
local asked_at = {}

--- Whether what is shown is the answer to asking explicitly here, so that there are no more candidates.
---@param buffer integer
---@return boolean
function M.was_asked(buffer)
  return asked_at[buffer] == offer.moment(buffer)
end

--- Ask explicitly: also in the middle of a word or a line, and for several candidates. The answer shows as any other.
---@param buffer integer
---@return boolean whether something was asked
function M.ask(buffer)
  local found = completor(buffer)
  if not found or next(found.client_state) == nil then
    return false
  end
  -- an automatic request that waits for the end of typing would take the answer's place
  found:reset_timer()
  asked_at[buffer] = offer.moment(buffer)
  found:request(vim.lsp.protocol.InlineCompletionTriggerKind.Invoked)
  return true
end

--- Ask as if something had been typed, where somebody is about to: a server that comes while one is in insert mode has
--- not seen how that began.
---@param buffer integer
function M.ask_for_typist(buffer)
  local found = completor(buffer)
  local types = vim.api.nvim_get_current_buf() == buffer and vim.startswith(vim.api.nvim_get_mode().mode, 'i')
  if found and types and not found.current and type(found.automatic_request) == 'function' then
    found:automatic_request()
  end
end

--- After typing or moving: what does not fit any more goes at once, and what went on to another line is shown there.
--- Neovim keeps showing it, cut by as many characters as were typed, until the next answer.
---@param buffer integer
function M.refit(buffer)
  local found = completor(buffer)
  local item = found and found.current
  if not item or not item.range or type(item.insert_text) ~= 'string' then
    return
  end
  local fitting = M.fitting(buffer, item)
  if not fitting then
    M.hide(buffer)
  elseif fitting.cursor.row ~= fitting.start.row then
    M.show(buffer, fitting.client_id, fitting.rest, fitting.command)
  end
end

return M
