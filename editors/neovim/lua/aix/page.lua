--- The page of `aix.inspect`: shown in a split, never written anywhere. It quotes the user's code.

local M = {}

--- Where the latest page is shown: a page takes the place of the one before.
---@type integer?
local window

--- The handler of `window/showDocument`.
---@param params lsp.ShowDocumentParams
---@param context lsp.HandlerContext
---@return lsp.ShowDocumentResult
function M.show(err, params, context)
  if params.external or not vim.startswith(params.uri, 'file:') then
    return vim.lsp.handlers['window/showDocument'](err, params, context)
  end
  local good, lines = pcall(vim.fn.readfile, vim.uri_to_fname(params.uri))
  if not good then
    return { success = false }
  end
  local buffer = vim.api.nvim_create_buf(false, true) -- no file: no swap file, no undo file, no server
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].bufhidden = 'wipe'
  vim.bo[buffer].modifiable = false
  vim.cmd.stopinsert()
  if window and vim.api.nvim_win_is_valid(window) and vim.w[window].aix_page then
    vim.api.nvim_win_set_buf(window, buffer)
    if params.takeFocus ~= false then
      vim.api.nvim_set_current_win(window)
    end
  else
    window = vim.api.nvim_open_win(buffer, params.takeFocus ~= false, { split = 'below' })
    vim.w[window].aix_page = true
  end
  vim.bo[buffer].filetype = 'markdown'
  vim.wo[window][0].foldenable = false
  return { success = true }
end

return M
