--- `:checkhealth aix`

local M = {}

local health = vim.health
local answer_ms = 5000

local function check_neovim()
  health.start('aix: Neovim')
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.12') == 0 then
    health.error(('Neovim %s has no vim.lsp.inline_completion'):format(version), 'Install Neovim 0.12 or later')
    return false
  end
  health.ok('Neovim ' .. version)
  if require('aix.shown').works() then
    health.ok('vim.lsp.inline_completion is as this plugin knows it')
  else
    health.warn(
      'vim.lsp.inline_completion is not as this plugin knows it: no explicit requests, and parts of an offer are '
        .. 'accepted without the rest staying shown',
      'Take a later version of the plugin'
    )
  end
  return true
end

local function check_server()
  health.start('aix: the server')
  local command = require('aix.config').get().cmd --[[@as string[] ]]
  local path = require('aix.program').find(command[1])
  if not path then
    health.error(('%s is neither an executable on the PATH nor the whole path of one'):format(command[1]), {
      'Install aix-lsp as its README says, and put the bin folder of its environment on the PATH',
      "Or name it: require('aix').setup({ cmd = { '/path/to/aix-lsp', 'serve', '--stdio' } })",
    })
    return
  end
  -- all before `serve` starts the program: `aix-lsp`, or `python -m aix_lsp`
  local program = { path }
  for _, word in ipairs({ unpack(command, 2) }) do
    if word == 'serve' then
      break
    end
    table.insert(program, word)
  end
  local good, result = pcall(function()
    return vim.system(vim.list_extend(program, { '--version' }), { text = true }):wait(answer_ms)
  end)
  if good and result.code == 0 then
    health.ok(('%s: %s'):format(path, vim.trim(result.stdout)))
  else
    health.error(('%s does not tell its version'):format(path), 'Run `aix-lsp doctor` in a terminal')
  end
  local config = vim.lsp.config['aix']
  if config and type(config.cmd) ~= 'function' then
    health.warn(
      "vim.lsp.config('aix', { cmd = ... }) takes the plugin's own connection away: late answers may show, and a "
        .. 'server that ends is not started again',
      "Name the command in require('aix').setup({ cmd = ... })"
    )
  end
end

---@param client vim.lsp.Client
local function check_client(client)
  local buffers = vim.tbl_count(client.attached_buffers)
  local folders = vim.tbl_map(function(folder)
    return folder.name
  end, client.workspace_folders or {})
  local where = #folders > 0 and table.concat(folders, ', ') or 'no folder'
  health.ok(('a server runs for %d buffers (%s)'):format(buffers, where))
  local answer = client:request_sync('workspace/executeCommand', { command = 'aix.status' }, answer_ms)
  local status = answer and answer.result and answer.result.status
  if not status then
    return health.warn(('it did not answer within %d s'):format(answer_ms / 1000), 'See :AixLog, or :AixRestart')
  end
  local line = ('%s: %s'):format(status.state, status.message)
  if status.state == 'failed' then
    health.error(line, 'Run `aix-lsp doctor` in a terminal')
  elseif status.state == 'degraded' then
    health.warn(line)
  else
    health.ok(line)
  end
end

local function check_clients()
  health.start('aix: running')
  if not vim.lsp.is_enabled('aix') then
    health.warn('it is not enabled', 'setup({ enabled = true }), or :AixRestart')
  end
  local clients = vim.lsp.get_clients({ name = 'aix' })
  if #clients == 0 then
    health.info('no server runs: it is started with the first file')
  end
  for _, client in ipairs(clients) do
    check_client(client)
  end
  if vim.g._lsp_enabled_inline_completion == false then
    health.warn('vim.lsp.inline_completion.enable(false) holds for all of Neovim: nothing is shown')
  end
  for _, client in ipairs(clients) do
    for buffer in pairs(client.attached_buffers) do
      if not vim.lsp.inline_completion.is_enabled({ bufnr = buffer, client_id = client.id }) then
        local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ':~:.')
        health.warn(('inline completion is switched off in %s'):format(name))
      end
    end
  end
end

local function check_keymaps()
  health.start('aix: keys of insert mode')
  local config = require('aix.config')
  if config.get().keymaps == false then
    return health.info('none are mapped (keymaps = false)')
  end
  local mapped = require('aix.keymaps').mapped
  if next(mapped) == nil then
    return health.info('they are mapped with the first file')
  end
  for name, entry in vim.spairs(mapped) do
    if entry.taken then
      health.warn(
        ('%s: %s is taken (%s), so it is not mapped'):format(name, entry.key, entry.taken),
        ("setup({ keymaps = { %s = '<another key>' } })"):format(name)
      )
    else
      health.ok(('%s: %s'):format(name, entry.key))
    end
  end
end

-- plugins that show text of their own where this one does, by what they leave behind when they are loaded
local others = {
  ['copilot.vim'] = function()
    return vim.g.loaded_copilot ~= nil
  end,
  ['copilot.lua'] = function()
    return package.loaded['copilot'] ~= nil
  end,
  ['windsurf.vim (codeium)'] = function()
    return vim.g.loaded_codeium ~= nil or package.loaded['codeium'] ~= nil
  end,
  ['supermaven-nvim'] = function()
    return package.loaded['supermaven-nvim'] ~= nil
  end,
  ['minuet-ai.nvim'] = function()
    return package.loaded['minuet'] ~= nil
  end,
  ['tabnine-nvim'] = function()
    return package.loaded['tabnine'] ~= nil
  end,
}

local function check_others()
  health.start('aix: others that show completions in grey')
  local found = false
  for name, is_loaded in vim.spairs(others) do
    if is_loaded() then
      found = true
      health.warn(('%s is loaded: two offers may show at one place'):format(name))
    end
  end
  for _, client in ipairs(vim.lsp.get_clients({ method = 'textDocument/inlineCompletion' })) do
    if client.name ~= 'aix' then
      found = true
      health.warn(
        ('the language server %s offers inline completions too; they take turns'):format(client.name),
        ('vim.lsp.inline_completion.enable(false, { client_id = %d }) silences it'):format(client.id)
      )
    end
  end
  if not found then
    health.ok('none')
  end
end

--- The check.
function M.check()
  if check_neovim() then
    check_server()
    check_clients()
    check_keymaps()
    check_others()
  end
end

return M
