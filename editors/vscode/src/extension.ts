// Where VS Code comes in.
import { mkdirSync } from "node:fs";
import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Launcher } from "./launcher";
import { Server } from "./server";
import { optionsOf } from "./settings";
import { StatusBar } from "./statusBar";
import { followSettings } from "./settingsChanges";
import { hiddenBecause } from "./editorSettings";
import { showWalkthroughOnce } from "./walkthrough";

let running: { server: Server; launcher: Launcher } | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const channel = vscode.window.createOutputChannel("aix-lsp", { log: true });
  const storage = context.globalStorageUri.fsPath;
  mkdirSync(storage, { recursive: true });
  const server = new Server(channel, optionsOf(context.extension.packageJSON), storage);
  const bar = new StatusBar("aix-lsp.menu");
  const launcher = new Launcher(context, server, channel);
  const update = () => {
    bar.show({ phase: server.phase, note: server.note, status: server.status, hidden: hiddenBecause() });
  };
  running = { server, launcher };
  context.subscriptions.push(
    channel,
    server,
    bar,
    server.changed(update),
    vscode.window.onDidChangeActiveTextEditor(update),
    ...registerCommands(context, server, launcher, channel),
    ...followSettings(server, launcher, update),
  );
  update();
  void launcher.launch();
  void showWalkthroughOnce(context);
}

/** VS Code waits for this: neither a server nor an installation outlives its window. */
export async function deactivate(): Promise<void> {
  running?.launcher.close();
  await running?.server.close();
}
