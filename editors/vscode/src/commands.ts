// The commands of the palette and the menu. Their ids begin with `aix-lsp.`: those with `aix.` are the server's own, which
// the language client registers by itself.
import * as vscode from "vscode";
import { changeModel } from "./changeModel";
import { hiddenBecause, showSuggestions } from "./editorSettings";
import { message } from "./errors";
import type { Launcher } from "./launcher";
import { entries } from "./menu";
import type { Server } from "./server";
import { openWalkthrough } from "./walkthrough";

/** Register all. A command that fails tells why in one line. */
export function registerCommands(
  context: vscode.ExtensionContext,
  server: Server,
  launcher: Launcher,
  channel: vscode.LogOutputChannel,
): vscode.Disposable[] {
  const commands: Record<string, () => unknown> = {
    "aix-lsp.menu": () => showMenu(server),
    "aix-lsp.trigger": () => vscode.commands.executeCommand("editor.action.inlineSuggest.trigger"),
    "aix-lsp.next": () => vscode.commands.executeCommand("editor.action.inlineSuggest.showNext"),
    "aix-lsp.previous": () => vscode.commands.executeCommand("editor.action.inlineSuggest.showPrevious"),
    "aix-lsp.acceptWord": () => vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextWord"),
    "aix-lsp.acceptLine": () => vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextLine"),
    "aix-lsp.toggle": () => switchOver(server, "aix.toggle"),
    "aix-lsp.toggleLanguage": () => toggleLanguage(server),
    "aix-lsp.pause": () => switchOver(server, "aix.pause"),
    "aix-lsp.inspect": () => server.execute("aix.inspect"),
    "aix-lsp.changeModel": () => changeModel(server, launcher),
    "aix-lsp.restart": () => launcher.launch(),
    "aix-lsp.showLog": () => {
      channel.show();
    },
    "aix-lsp.settings": () =>
      vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${context.extension.id}`),
    "aix-lsp.installServer": () => launcher.install(),
    "aix-lsp.chooseServer": () => launcher.chooseServer(),
    "aix-lsp.showSuggestions": () => showSuggestions(),
    "aix-lsp.openWalkthrough": () => openWalkthrough(context),
  };
  return Object.entries(commands).map(([id, run]) =>
    vscode.commands.registerCommand(id, async () => {
      try {
        await run();
      } catch (error) {
        channel.error(`${id}: ${message(error)}`);
        void vscode.window.showErrorMessage(`aix: ${message(error)}`);
      }
    }),
  );
}

async function showMenu(server: Server): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  const found = entries({ phase: server.phase, status: server.status, language, hidden: hiddenBecause() });
  const state = server.status?.offReason ?? server.status?.message ?? server.note;
  const picked = await vscode.window.showQuickPick(found, { title: "aix", placeHolder: state });
  if (picked !== undefined) await vscode.commands.executeCommand(picked.command);
}

async function toggleLanguage(server: Server): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  if (language === undefined) throw new Error("there is no document open whose language could be meant");
  await switchOver(server, "aix.toggle", language);
}

/** Run a command that switches off or on; an offer that is shown just now disappears. */
async function switchOver(server: Server, command: string, ...parameters: unknown[]): Promise<void> {
  await server.execute(command, ...parameters);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
}
