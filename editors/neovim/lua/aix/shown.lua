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

--- Whether anything is shown, fitting or not, whoever offers it.
---@param buffer integer
---@return boolean
function M.anything(buffer)
  local found = completor(buffer)
  return found ~= nil and found.current ~= nil
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
  found:request(vim.lsp.protocol.InlineCompletionTriggerKind.Invoked)
  return true
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
