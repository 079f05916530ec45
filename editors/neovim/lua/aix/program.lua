--- Where a program is. Neovim and its process library may also look in the current folder, which is a project that
--- somebody else may have written: opening it must not run what lies there.

local M = {}

local windows = vim.fn.has('win32') == 1

---@param path string
---@return boolean
local function is_whole(path)
  if windows then
    return path:find('^%a:[/\\]') ~= nil or path:find('^[/\\][/\\]') ~= nil
  end
  return vim.startswith(path, '/')
end

---@param path string
---@return string? path on Windows with what it ends in (`.exe`)
local function runnable(path)
  local found = vim.fn.exepath(path)
  return found ~= '' and found or nil
end

--- The whole path of a program: one that is named so (`~` is the home folder), or the first of that name in the whole
--- paths of PATH. Nil where there is none.
---@param name string
---@return string?
function M.find(name)
  if name:find('[/\\]') then
    local path = vim.fs.normalize(name)
    return is_whole(path) and runnable(path) or nil
  end
  for folder in vim.gsplit(vim.env.PATH or '', windows and ';' or ':', { plain = true }) do
    local path = is_whole(folder) and runnable(vim.fs.joinpath(folder, name))
    if path then
      return path
    end
  end
end

return M
