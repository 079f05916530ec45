--- What is left of an offer at the cursor.

local M = {}

---@class aix.Place
---@field row integer 0-based
---@field col integer 0-based, in bytes

--- The cursor in the window that shows a buffer; nil where none does.
---@param buffer integer
---@return aix.Place?
function M.cursor(buffer)
  local window = vim.api.nvim_get_current_win()
  if vim.api.nvim_win_get_buf(window) ~= buffer then
    window = vim.fn.bufwinid(buffer)
    if window == -1 then
      return nil
    end
  end
  local row, col = unpack(vim.api.nvim_win_get_cursor(window))
  return { row = row - 1, col = col }
end

--- What is different as soon as a buffer's text changes or its cursor moves.
---@param buffer integer
---@return string
function M.moment(buffer)
  local cursor = M.cursor(buffer)
  local tick = vim.api.nvim_buf_get_changedtick(buffer)
  return ('%d:%d:%d'):format(tick, cursor and cursor.row or -1, cursor and cursor.col or -1)
end

--- What is left of a text that is offered at a place, when the cursor is where it is. Nil where what stands between the
--- two is not its beginning, and where nothing is left.
---@param buffer integer
---@param start aix.Place
---@param cursor aix.Place
---@param text string
---@return string?
function M.rest(buffer, start, cursor, text)
  if cursor.row < start.row or (cursor.row == start.row and cursor.col < start.col) then
    return nil
  end
  -- an offer is never that long, and the text that is compared should not be either
  if cursor.row - start.row > 500 or start.row >= vim.api.nvim_buf_line_count(buffer) then
    return nil
  end
  local good, between = pcall(vim.api.nvim_buf_get_text, buffer, start.row, start.col, cursor.row, cursor.col, {})
  if not good then
    return nil
  end
  local typed = table.concat(between, '\n')
  if #typed >= #text or not vim.startswith(text, typed) then
    return nil
  end
  return text:sub(#typed + 1)
end

--- A place as the protocol counts it.
---@param buffer integer
---@param place aix.Place
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
function M.to_position(buffer, place, encoding)
  local line = vim.api.nvim_buf_get_lines(buffer, place.row, place.row + 1, false)[1] or ''
  return { line = place.row, character = vim.str_utfindex(line, encoding, math.min(place.col, #line), false) }
end

--- A position of the protocol as a place.
---@param buffer integer
---@param position lsp.Position
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return aix.Place
function M.to_place(buffer, position, encoding)
  local line = vim.api.nvim_buf_get_lines(buffer, position.line, position.line + 1, false)[1] or ''
  return { row = position.line, col = vim.str_byteindex(line, encoding, position.character, false) }
end

--- An item with what is left of it, to be inserted at the cursor; nil where it does not fit there any more.
---@param buffer integer
---@param item lsp.InlineCompletionItem
---@param cursor aix.Place
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.InlineCompletionItem?
function M.cut(buffer, item, cursor, encoding)
  if not item.range or type(item.insertText) ~= 'string' then
    return item
  end
  local start = M.to_place(buffer, item.range.start, encoding)
  local rest = M.rest(buffer, start, cursor, item.insertText)
  if not rest then
    return nil
  end
  local here = M.to_position(buffer, cursor, encoding)
  return vim.tbl_extend('force', item, { insertText = rest, range = { start = here, ['end'] = here } })
end

return M
