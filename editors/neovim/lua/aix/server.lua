--- The server as Neovim's LSP client runs it: for which buffers, with what, and what happens when it ends.

local config = require('aix.config')
local program = require('aix.program')
local settings = require('aix.settings')

local M = {}

M.name = 'aix'

-- Identifiers that LSP has for what Neovim calls otherwise.
local language_ids = {
  bash = 'shellscript',
  cs = 'csharp',
  make = 'makefile',
  objc = 'objective-c',
  objcpp = 'objective-cpp',
  ps1 = 'powershell',
  sh = 'shellscript',
  tex = 'latex',
  text = 'plaintext',
  zsh = 'shellscript',
}

-- A server that ends by itself is started again after so many milliseconds, for as many times within the window; one
-- that was never ready once, as it would hardly be at the next attempt.
local delays = { 100, 1000, 3000, 10000, 30000 }
local most_failed_starts = 2
local window_ms = 5 * 60 * 1000
local stop_ms = 3000

---@type integer[]
local ends = {}
local starts_that_failed = 0
local told_missing = false

--- Whether a buffer is that of a file that a person writes.
---@param buffer integer
---@return boolean
function M.is_file(buffer)
  local name = vim.api.nvim_buf_get_name(buffer)
  return vim.bo[buffer].buftype == ''
    and name ~= ''
    and name ~= vim.lsp.log.get_filename()
    and not name:find('^%a[%w+.-]+://')
end

---@param buffer integer
---@param on_dir fun(folder?: string)
local function root_dir(buffer, on_dir)
  local options = config.get()
  local wanted = options.should_attach or M.is_file
  if not wanted(buffer) then
    return
  end
  if not program.find(options.cmd[1]) then
    if not told_missing then
      told_missing = true
      config.tell(
        ('%s is not an executable on the PATH: install it, or name it in setup({ cmd = ... })'):format(options.cmd[1]),
        vim.log.levels.WARN
      )
    end
    return
  end
  on_dir(vim.fs.root(buffer, options.root_markers))
end

--- Folders that a server should be told of as soon as it listens.
---@type table<integer, lsp.WorkspaceFolder[]>
local untold = {}

--- Tell a server that has started of its later folders.
---@param client vim.lsp.Client
function M.tell_folders(client)
  local added = untold[client.id]
  if added and client.initialized then
    untold[client.id] = nil
    client:notify('workspace/didChangeWorkspaceFolders', { event = { added = added, removed = {} } })
  end
end

--- One server for all projects: each holds a model.
---@param client vim.lsp.Client
---@param wanted vim.lsp.ClientConfig
---@return boolean
local function reuse(client, wanted)
  if client.name ~= wanted.name or client:is_stopped() then
    return false
  end
  local folder = wanted.root_dir
  local known = vim.iter(client.workspace_folders or {}):any(function(other)
    return other.name == folder
  end)
  if folder and not known then
    local new = { uri = vim.uri_from_fname(folder), name = folder }
    client.workspace_folders = vim.list_extend(client.workspace_folders or {}, { new })
    untold[client.id] = vim.list_extend(untold[client.id] or {}, { new })
    M.tell_folders(client)
  end
  return true
end

--- Start the server, or use the one that runs, for all open files that should have it.
local function attach_all()
  local template = vim.lsp.is_enabled(M.name) and vim.lsp.config[M.name]
  if not template then
    return
  end
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    local filetype = vim.bo[buffer].filetype
    local wanted = not template.filetypes or vim.list_contains(template.filetypes, filetype)
    if vim.api.nvim_buf_is_loaded(buffer) and filetype ~= '' and wanted then
      local resolved = vim.deepcopy(template)
      local function start(folder)
        resolved.root_dir = folder
        vim.lsp.start(resolved, { bufnr = buffer, reuse_client = resolved.reuse_client })
      end
      if type(resolved.root_dir) == 'function' then
        resolved.root_dir(buffer, start)
      elseif vim.bo[buffer].buftype == '' then
        start(resolved.root_dir or vim.fs.root(buffer, resolved.root_markers or {}))
      end
    end
  end
end

local restarting = false

---@param asked boolean
---@param was_ready boolean
---@param code integer
---@param signal integer
local function ended(asked, was_ready, code, signal)
  if vim.v.exiting ~= vim.NIL or not vim.lsp.is_enabled(M.name) then
    return
  end
  vim.cmd.redrawstatus({ bang = true })
  if asked then
    if restarting then
      restarting = false
      vim.schedule(attach_all) -- Neovim detaches its buffers first
    end
    return
  end
  local now = vim.uv.now()
  ends = vim.tbl_filter(function(time)
    return now - time < window_ms
  end, ends)
  table.insert(ends, now)
  local how = signal ~= 0 and ('signal %d'):format(signal) or ('exit code %d'):format(code)
  starts_that_failed = was_ready and 0 or starts_that_failed + 1
  local delay = starts_that_failed < most_failed_starts and delays[#ends]
  if delay then
    if #ends == 1 then
      config.tell(('the server ended (%s) and is started again'):format(how), vim.log.levels.WARN)
    end
    vim.defer_fn(attach_all, delay)
  else
    local what = starts_that_failed > 0 and 'does not start' or ('ended %d times'):format(#ends)
    config.tell(
      ('the server %s (%s) and is not tried again; :AixLog has why, :AixRestart starts it'):format(what, how),
      vim.log.levels.ERROR
    )
  end
end

--- Stop the server and start it with the options of now.
function M.restart()
  ends, starts_that_failed, told_missing = {}, 0, false
  M.enable()
  local clients = vim.lsp.get_clients({ name = M.name })
  if #clients == 0 then
    return attach_all()
  end
  restarting = true
  for _, client in ipairs(clients) do
    client:stop(stop_ms)
  end
end

--- The configuration for `vim.lsp.config`.
---@return vim.lsp.Config
function M.config()
  local options = config.get()
  return {
    cmd = function(dispatchers, client_config)
      local path = program.find(options.cmd[1]) or options.cmd[1]
      local command = { path, unpack(options.cmd, 2) }
      return require('aix.connection').start(command, dispatchers, client_config, ended)
    end,
    cmd_env = options.cmd_env,
    filetypes = options.filetypes,
    root_dir = root_dir,
    reuse_client = reuse,
    get_language_id = function(_, filetype)
      return language_ids[filetype] or filetype
    end,
    capabilities = { experimental = { aix = { status = true } } },
    init_options = settings.at_start(options.settings --[[@as table]]),
    settings = { aix = settings.when_asked(options.settings --[[@as table]]) },
    handlers = {
      ['aix/status'] = function(...)
        require('aix.status').changed(...)
      end,
      ['window/showDocument'] = function(...)
        return require('aix.page').show(...)
      end,
    },
    exit_timeout = stop_ms,
  }
end

--- Start the server with the next file, and for those that are open.
function M.enable()
  if vim.lsp.is_enabled(M.name) then
    vim.lsp.config(M.name, {}) -- read lsp/aix.lua anew; enabling again would wake other servers
  else
    vim.lsp.enable(M.name)
  end
end

--- The options have changed: running servers are told, and what they take at the start alone is told to the user.
function M.apply()
  vim.lsp.config(M.name, {})
  -- with what a project said in vim.lsp.config()
  local wanted = vim.lsp.config[M.name] or {}
  for _, client in ipairs(vim.lsp.get_clients({ name = M.name })) do
    local new = (wanted.settings or {}).aix or vim.empty_dict()
    client.settings.aix = new
    client:notify('workspace/didChangeConfiguration', { settings = { aix = new } })
    if settings.need_restart(client.config.init_options or {}, wanted.init_options or {}) then
      config.tell('some of these settings hold after a restart of the server: :AixRestart')
    end
  end
end

return M
