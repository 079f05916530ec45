--- The plugin's options: defaults, what `vim.g.aix` and `setup()` say, and what is wrong with it in one line each.

local settings = require('aix.settings')

local M = {}

---@class aix.Keymaps
---@field accept? string|false takes the whole offer
---@field accept_word? string|false takes its next word
---@field accept_line? string|false takes the rest of its line
---@field next? string|false shows the next candidate
---@field prev? string|false shows the previous one
---@field dismiss? string|false takes the offer away
---@field trigger? string|false asks for an offer here

---@class aix.Options
---@field enabled? boolean whether the server is started for the files that are opened
---@field cmd? string[] the command line of the server
---@field cmd_env? table<string, string> environment variables for it
---@field filetypes? string[] the file types that it is for; without it all
---@field root_markers? (string|string[])[] what lies in the top folder of a project, as |lsp-root_markers|
---@field should_attach? fun(buffer: integer): boolean which buffers; without it those of files
---@field settings? aix.Settings the server's own settings; only what is named here is sent
---@field keymaps? aix.Keymaps|false keys of insert mode; false maps none

---@type aix.Options
local defaults = {
  enabled = true,
  cmd = { 'aix-lsp', 'serve', '--stdio' },
  root_markers = {
    { '.git', '.hg', '.jj', '.svn' },
    {
      'pyproject.toml',
      'setup.py',
      'package.json',
      'Cargo.toml',
      'go.mod',
      'pom.xml',
      'build.gradle',
      'build.gradle.kts',
      'CMakeLists.txt',
    },
  },
  settings = {},
}

--- Keys that Neovim itself leaves free. They are mapped only where nobody else has mapped them.
---@type table<string, string>
M.default_keymaps = {
  accept = '<M-l>',
  accept_word = '<M-w>',
  accept_line = '<M-e>',
  next = '<M-]>',
  prev = '<M-[>',
  dismiss = '<M-q>',
  trigger = '<M-/>',
}

local kinds = {
  enabled = 'boolean',
  cmd = 'string[]',
  cmd_env = 'table',
  filetypes = 'string[]',
  root_markers = 'table',
  should_attach = 'function',
  settings = 'table',
  keymaps = 'table or false',
}

local merged = { settings = true, keymaps = true, cmd_env = true }

---@type aix.Options?
local current

--- Say a line to the user, under the plugin's name.
---@param line string
---@param level? integer of |vim.log.levels|
function M.tell(line, level)
  vim.notify('aix: ' .. line, level or vim.log.levels.INFO)
end

---@param value any
---@param kind string
local function is_kind(value, kind)
  if kind == 'string[]' then
    return vim.islist(value)
      and #value > 0
      and vim.iter(value):all(function(item)
        return type(item) == 'string'
      end)
  end
  return value == false and vim.endswith(kind, 'or false') or vim.startswith(kind, type(value))
end

--- The keymaps that are good, and lines on those that are not.
---@param given table<string, any>
---@return table<string, string|false>, string[]
local function checked_keymaps(given)
  local good, lines = {}, {}
  for name, key in settings.by_name(given) do
    if M.default_keymaps[name] == nil then
      table.insert(lines, ('no keymap "%s" (:help aix-keys)'):format(name))
    elseif key ~= false and (type(key) ~= 'string' or key == '') then
      table.insert(lines, ('keymap "%s" must be a key or false'):format(name))
    else
      good[name] = key
    end
  end
  return good, lines
end

--- The options that are good, and a line on each that is not.
---@param given table<string, any>
---@return aix.Options, string[]
function M.checked(given)
  local good, lines = {}, {}
  if type(given) ~= 'table' then
    return good, { ('options must be a table, not %s (:help aix-options)'):format(vim.inspect(given)) }
  end
  for name, value in settings.by_name(given) do
    local kind = kinds[name]
    if not kind then
      table.insert(lines, ('no option "%s" (:help aix-options)'):format(name))
    elseif not is_kind(value, kind) then
      local wanted = kind == 'string[]' and 'a list of strings' or ('a %s'):format(kind)
      table.insert(lines, ('option "%s" must be %s, not %s'):format(name, wanted, vim.inspect(value)))
    elseif name == 'settings' or (name == 'keymaps' and value) then
      local check = name == 'settings' and settings.checked or checked_keymaps
      local values, wrong = check(value)
      good[name] = values
      vim.list_extend(lines, wrong)
    else
      good[name] = value
    end
  end
  return good, lines
end

--- Take options; what is wrong with them is told and left out.
---@param given? aix.Options
function M.set(given)
  local from_variable = vim.g.aix == nil and {} or vim.g.aix
  local good = vim.deepcopy(defaults)
  for _, source in ipairs({ from_variable, given == nil and {} or given }) do
    local options, lines = M.checked(source)
    for _, line in ipairs(lines) do
      M.tell(line, vim.log.levels.WARN)
    end
    for name, value in pairs(options) do
      local both = merged[name] and type(value) == 'table' and type(good[name]) == 'table'
      if both then
        good[name] = vim.tbl_extend('force', good[name], value)
      else
        good[name] = value
      end
    end
  end
  current = good
end

--- The options that hold.
---@return aix.Options
function M.get()
  if not current then
    M.set()
  end
  return current --[[@as aix.Options]]
end

return M
