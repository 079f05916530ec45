--- Keys of insert mode. The plugin's own choice is mapped only where a key is free; what the user chose is mapped
--- always, and without an offer such a key does what it did before.

local config = require('aix.config')

local M = {}

---@type table<string, { run: fun(): boolean, what: string }>
local actions = {
  accept = {
    what = 'accept the completion',
    run = function()
      return require('aix').accept()
    end,
  },
  accept_word = {
    what = 'accept the next word of the completion',
    run = function()
      return require('aix').accept_word()
    end,
  },
  accept_line = {
    what = 'accept the next line of the completion',
    run = function()
      return require('aix').accept_line()
    end,
  },
  next = {
    what = 'show the next completion',
    run = function()
      return require('aix').next()
    end,
  },
  prev = {
    what = 'show the previous completion',
    run = function()
      return require('aix').prev()
    end,
  },
  dismiss = {
    what = 'dismiss the completion',
    run = function()
      return require('aix').dismiss()
    end,
  },
  trigger = {
    what = 'ask for a completion',
    run = function()
      return require('aix').trigger()
    end,
  },
}

---@class aix.Mapped
---@field key string
---@field taken? string what has the key already; then it is not mapped

--- What became of each keymap, for `:checkhealth`.
---@type table<string, aix.Mapped>
M.mapped = {}

--- What a key does in insert mode already, in all buffers: a mapping of one buffer comes before ours there anyway, and
--- has no business elsewhere.
---@param key string
---@return table? the mapping as |maparg()| gives it
local function mapping_of(key)
  local raw = vim.keycode(key)
  return vim.iter(vim.api.nvim_get_keymap('i')):find(function(mapping)
    return mapping.lhsraw == raw or mapping.lhsrawalt == raw
  end)
end

--- What is typed when there is no offer: what the key was mapped to, or the key itself. A Meta key that nobody mapped
--- would leave insert mode, which nobody means who just came too late for an offer.
---@param name string
---@param key string
---@param before table?
---@return fun()
local function otherwise(name, key, before)
  local keys, mode = vim.keycode(key), 'in'
  if before then
    -- under a name of its own the mapping keeps all that it has: expr, script, callback
    local plug = ('<Plug>(aix-before-%s)'):format(name)
    local moved = vim.tbl_extend('force', before, { lhs = plug, lhsraw = vim.keycode(plug), buffer = 0 })
    moved.lhsrawalt = nil
    vim.fn.mapset('i', false, moved)
    keys, mode = vim.keycode(plug), 'im'
  elseif key:lower():find('^<[ma]%-') then
    return function() end
  end
  return function()
    vim.api.nvim_feedkeys(keys, mode, false)
  end
end

--- Map the keys, once.
function M.map()
  local chosen = config.get().keymaps
  if chosen == false or next(M.mapped) ~= nil then
    return
  end
  for name, action in vim.spairs(actions) do
    local key = (chosen or {})[name]
    local is_default = key == nil
    key = is_default and config.default_keymaps[name] or key
    if key then
      local before = mapping_of(key)
      if before and is_default then
        M.mapped[name] = { key = key, taken = before.desc or before.rhs or 'another mapping' }
      else
        M.mapped[name] = { key = key }
        local fall_back = otherwise(name, key, before)
        vim.keymap.set('i', key, function()
          if not action.run() then
            fall_back()
          end
        end, { desc = 'aix: ' .. action.what })
      end
    end
  end
end

return M
