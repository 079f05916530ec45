--- Accepting an offer: whole, or its next word or line, with the rest still shown.
---
--- The text is inserted here and not by Neovim, which puts it where the request was made and leaves what was typed
--- since behind it (neovim #36529).

local shown = require('aix.shown')

local M = {}

---@alias aix.Part 'all'|'word'|'line'

--- White space with what follows it: a word of the buffer's 'iskeyword', or a run of other characters.
local word = [=[^\_s*\%(\k\+\|\%(\k\@![^[:space:]]\)\+\)\?]=]
--- The rest of the line, or where nothing is left of it the next one.
local line = [[^\n*[^\n]*]]

--- The part of a text that is taken.
---@param text string
---@param part aix.Part
---@return string
function M.part_of(text, part)
  if part == 'all' then
    return text
  end
  local taken = vim.fn.matchstr(text, part == 'word' and word or line)
  return taken ~= '' and taken or text
end

--- Insert a part of an offer at the cursor, as an undo step of its own.
---@param buffer integer
---@param offer aix.Shown
---@param part aix.Part
local function insert(buffer, offer, part)
  local taken = M.part_of(offer.rest, part)
  local lines = vim.split(taken, '\n', { plain = true })
  local row, col = offer.cursor.row, offer.cursor.col
  vim.cmd('noautocmd let &g:undolevels = &g:undolevels')
  vim.api.nvim_buf_set_text(buffer, row, col, row, col, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
  vim.api.nvim_feedkeys(vim.keycode('<C-g>u'), 'ni', false) -- what is typed next is another step

  local client = vim.lsp.get_client_by_id(offer.client_id)
  if #taken < #offer.rest then
    shown.show(buffer, offer.client_id, offer.rest:sub(#taken + 1), offer.command)
  else
    shown.hide(buffer)
    if client and offer.command then
      client:exec_cmd(offer.command, { bufnr = buffer }, function() end)
    end
  end
end

--- Take the offer that is shown. False where none is, so that a mapping can do something else then. May be called from
--- an `expr` mapping too: the text then comes as soon as Neovim allows it.
---@param part? aix.Part
---@return boolean
function M.accept(part)
  part = part or 'all'
  local buffer = vim.api.nvim_get_current_buf()
  if not vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
    return false
  end
  if not shown.works() then
    return vim.lsp.inline_completion.get({
      on_accept = function(item)
        local offer = shown.fitting(buffer, item)
        if offer then
          insert(buffer, offer, part)
        end
      end,
    })
  end
  local offer = shown.now(buffer)
  if not offer then
    return false
  end
  local good, problem = pcall(insert, buffer, offer, part)
  if good then
    return true
  elseif not tostring(problem):find('E565') then -- E565: not allowed to change text here
    error(problem, 0)
  end
  vim.schedule(function()
    local again = vim.api.nvim_get_current_buf() == buffer and shown.now(buffer)
    if again then
      insert(buffer, again, part)
    end
  end)
  return true
end

--- Take the offer away until something is typed. False where none is shown.
---@return boolean
function M.dismiss()
  -- accepting, and then inserting nothing
  return vim.lsp.inline_completion.get({ on_accept = function() end })
end

--- Show another candidate. An offer that came by itself is alone: then others are asked for first. False where none is
--- shown.
---@param count integer
---@return boolean
function M.select(count)
  local buffer = vim.api.nvim_get_current_buf()
  if not shown.works() then
    vim.lsp.inline_completion.select({ bufnr = buffer, count = count })
    return true
  elseif not shown.now(buffer) then
    return false
  end
  local candidates = shown.candidates(buffer)
  if candidates == 1 and not shown.was_asked(buffer) then
    return shown.ask(buffer)
  end
  -- those that what was typed since does not agree with are passed over
  for _ = 1, candidates do
    vim.lsp.inline_completion.select({ bufnr = buffer, count = count })
    if shown.now(buffer) then
      break
    end
  end
  return true
end

--- Ask for an offer here, in insert mode. False where no server is asked.
---@return boolean
function M.trigger()
  if not vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
    return false
  end
  return shown.ask(vim.api.nvim_get_current_buf())
end

return M
