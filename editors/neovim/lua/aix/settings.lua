--- The server's settings: checked against its own table of options (`options.lua`), and cut for the two ways that they
--- travel. What is not set here is left to the server, its configuration file and its environment.

local known = require('aix.options')

local M = {}

---@param value any
---@param option aix.Option
---@return string? wanted what the value should be, where it is not
local function wanted(value, option)
  local kind = option.kind
  if kind == 'string[]' then
    local good = type(value) == 'table'
      and vim.islist(value)
      and vim.iter(value):all(function(item)
        return type(item) == 'string'
      end)
    return not good and 'a list of strings' or nil
  elseif kind == 'integer' or kind == 'number' then
    local whole = kind == 'number' or (type(value) == 'number' and value % 1 == 0)
    local inside = type(value) == 'number'
      and whole
      and value >= (option.minimum or -math.huge)
      and value > (option.exclusiveMinimum or -math.huge)
      and value <= (option.maximum or math.huge)
    local name = kind == 'integer' and 'a whole number' or 'a number'
    local low = option.exclusiveMinimum and (' over %s'):format(option.exclusiveMinimum)
      or option.minimum and (' from %s'):format(option.minimum)
      or ''
    local high = option.maximum and (' to %s'):format(option.maximum) or ''
    return not inside and name .. low .. high or nil
  elseif type(value) ~= kind then
    return 'a ' .. kind
  elseif option.choices and not vim.list_contains(option.choices, value) then
    return 'one of ' .. table.concat(option.choices, ', ')
  end
end

--- As |vim.spairs()|, also where names and numbers are mixed.
---@param given table
---@return fun(): any, any
function M.by_name(given)
  local names = vim.tbl_keys(given)
  table.sort(names, function(one, other)
    return tostring(one) < tostring(other)
  end)
  local index = 0
  return function()
    index = index + 1
    return names[index], given[names[index]]
  end
end

---@param name string
---@return string
local function unknown(name)
  local near = vim.fn.matchfuzzy(vim.tbl_keys(known), name:match('[^.]*$'))
  local hint = near[1] and (', perhaps "%s"?'):format(near[1]) or ' (:help aix-settings)'
  return ('no setting "%s"%s'):format(name, hint)
end

--- Settings by their whole names (`model.name`), from nested tables, dotted names or both; and a line on each that the
--- server does not have or whose value it would not take.
---@param given table<string, any>
---@return table<string, any> flat, string[] lines
function M.checked(given)
  local flat, lines = {}, {}
  ---@param values table<string, any>
  ---@param prefix string
  local function walk(values, prefix)
    for key, value in M.by_name(values) do
      local name = prefix .. tostring(key)
      local option = known[name]
      if option then
        local should_be = wanted(value, option)
        if should_be then
          local line = ('setting "%s" must be %s, not %s'):format(name, should_be, vim.inspect(value))
          table.insert(lines, (line:gsub('%s+', ' ')))
        else
          flat[name] = value
        end
      elseif type(value) == 'table' and not vim.islist(value) then
        walk(value, name .. '.')
      else
        table.insert(lines, unknown(name))
      end
    end
  end
  walk(given, '')
  return flat, lines
end

---@param flat table<string, any>
---@param travels fun(option: aix.Option): boolean
---@return table nested never encoded as a list
local function nested(flat, travels)
  local result = vim.empty_dict()
  for name, value in pairs(flat) do
    if travels(known[name]) then
      local section, option = name:match('^([^.]+)%.(.+)$')
      result[section] = result[section] or {}
      result[section][option] = value
    end
  end
  return result
end

--- For `initialize`: everything that the user set.
---@param flat table<string, any>
---@return table
function M.at_start(flat)
  return nested(flat, function()
    return true
  end)
end

--- For `workspace/configuration`: all but what belongs to the machine, which the server takes at the start alone.
---@param flat table<string, any>
---@return table
function M.when_asked(flat)
  return nested(flat, function(option)
    return option.scope ~= 'machine'
  end)
end

--- Whether settings differ from those that a server was started with in what it takes at the start alone.
---@param started table as `at_start` made it
---@param wants table the same, of now
---@return boolean
function M.need_restart(started, wants)
  return vim.iter(known):any(function(name, option)
    local section, key = name:match('^([^.]+)%.(.+)$')
    local before, now = (started[section] or {})[key], (wants[section] or {})[key]
    return (option.restart or option.scope == 'machine') and not vim.deep_equal(before, now)
  end)
end

return M
