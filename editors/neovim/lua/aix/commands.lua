--- The commands `:AixStatus`, `:AixToggle`, `:AixPause`, `:AixInspect`, `:AixModel`, `:AixRestart` and `:AixLog`.

local config = require('aix.config')

local M = {}

--- The server of the current buffer, or else any that runs.
---@return vim.lsp.Client?
local function client()
  local name = require('aix.server').name
  return vim.lsp.get_clients({ name = name, bufnr = 0 })[1] or vim.lsp.get_clients({ name = name })[1]
end

--- Have the server run one of its commands. Its refusal is told in one line.
---@param command string
---@param arguments any[]
---@param answered fun(result: any)
local function execute(command, arguments, answered)
  local server = client()
  if not server then
    return config.tell('no server is running; :checkhealth aix has more', vim.log.levels.WARN)
  end
  local params = { command = command, arguments = arguments }
  server:request('workspace/executeCommand', params, function(err, result)
    if err then
      config.tell(err.message or ('the server refused %s'):format(command), vim.log.levels.WARN)
    else
      answered(result ~= vim.NIL and result or nil)
    end
  end)
end

---@param text string
---@param what string
---@return number? value
---@return boolean good
local function number_of(text, what)
  local value = tonumber(text)
  if text ~= '' and not value then
    config.tell(('%s must be a number, not "%s"'):format(what, text), vim.log.levels.WARN)
    return nil, false
  end
  return value, true
end

--- Tell what toggling or pausing has done, and take away what is shown where nothing is offered any more.
---@param state table
local function switched(state)
  config.tell(state.enabled and 'completions are on' or state.reason)
  if not state.enabled then
    require('aix.shown').hide(vim.api.nvim_get_current_buf())
  end
end

--- One line: more would have to be waved away with a key. `:checkhealth aix` has more.
---@param result table
local function show_status(result)
  local status = result.status or {}
  local state, message = status.state or result.state, status.message or result.message or ''
  local parts = { state == 'ready' and message or ('%s, %s'):format(state, message) }
  local files = 0
  for _, folder in ipairs(result.folders or {}) do
    files = files + folder.files
  end
  table.insert(parts, ('%d files'):format(files))
  if type(status.latencyMs) == 'number' then
    table.insert(parts, ('%.0f ms'):format(status.latencyMs))
  end
  local counts = result.counts or {}
  table.insert(parts, ('%d offered, %d accepted'):format(counts.offered or 0, counts.accepted or 0))
  config.tell(table.concat(parts, '; '))
end

---@param model table of `aix.models`
---@param current? string
---@return string
local function model_line(model, current)
  local facts = { ('%s parameters'):format(model.parameters), model.licence }
  if not model.commercial then
    table.insert(facts, 'not for commercial use')
  end
  table.insert(facts, model.onDisk and 'on disk' or 'not downloaded')
  if not model.fits then
    table.insert(facts, 'too large for this machine')
  end
  return ('%s %s (%s)'):format(model.name == current and '*' or ' ', model.name, table.concat(facts, ', '))
end

---@param name string
local function use_model(name)
  config.get().settings['model.name'] = name
  require('aix.server').restart()
  config.tell(
    ('the model is %s until Neovim ends; to keep it: setup({ settings = { model = { name = "%s" } } })'):format(
      name,
      name
    )
  )
end

---@param listed table
local function choose_model(listed)
  local entries = { { name = 'auto' } }
  vim.list_extend(entries, listed.models or {})
  vim.ui.select(entries, {
    prompt = ('Model (now %s):'):format(listed.current or 'none'),
    kind = 'aix.model',
    format_item = function(model)
      local best = '  auto (the largest that is on disk and fits)'
      return model.name == 'auto' and best or model_line(model, listed.current)
    end,
  }, function(model)
    if not model then
      return
    end
    if model.onDisk == false then
      config.tell(('%s is not on this machine: run `aix-lsp download %s` first'):format(model.name, model.name))
    else
      use_model(model.name)
    end
  end)
end

---@type table<string, { run: fun(argument: string), opts: table }>
local commands = {
  AixStatus = {
    opts = { desc = 'What the server is doing' },
    run = function()
      execute('aix.status', {}, show_status)
    end,
  },
  AixToggle = {
    opts = { nargs = '?', complete = 'filetype', desc = 'Completions off or on, everywhere or for a language' },
    run = function(language)
      execute('aix.toggle', language ~= '' and { language } or {}, switched)
    end,
  },
  AixPause = {
    opts = { nargs = '?', desc = 'No completions for so many minutes (30); once more resumes' },
    run = function(text)
      local minutes, good = number_of(text, 'minutes')
      if good then
        execute('aix.pause', { minutes }, switched)
      end
    end,
  },
  AixInspect = {
    opts = { nargs = '?', desc = 'Why the latest requests, or the one of a number, went as they did' },
    run = function(text)
      local number, good = number_of(text, 'a request')
      if good then
        -- the server opens the page itself, or says why there is none
        execute('aix.inspect', { number }, function() end)
      end
    end,
  },
  AixModel = {
    opts = { nargs = '?', desc = 'Choose the model, from a menu or by its name, until Neovim ends' },
    run = function(name)
      if name ~= '' then
        use_model(name)
      else
        execute('aix.models', {}, choose_model)
      end
    end,
  },
  AixRestart = {
    opts = { desc = 'Stop the server and start it again' },
    run = function()
      require('aix.server').restart()
    end,
  },
  AixLog = {
    opts = { desc = "Neovim's log of language servers, with what the server wrote" },
    run = function()
      vim.cmd.tabnew(vim.fn.fnameescape(vim.lsp.log.get_filename()))
      vim.bo.readonly = true
      vim.cmd.normal({ 'G', bang = true })
    end,
  },
}

--- Define all commands.
function M.define()
  for name, command in pairs(commands) do
    vim.api.nvim_create_user_command(name, function(call)
      command.run(call.args)
    end, command.opts)
  end
end

return M
