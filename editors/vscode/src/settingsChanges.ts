// What happens when settings change while the server runs.
import * as vscode from "vscode";
import type { Launcher } from "./launcher";
import type { Server } from "./server";

const OF_THE_START = ["aix.serverPath", "aix.serverArguments"];

/** Listen. The server asks for ordinary options itself; a restart is offered for those that it reads at its start. */
export function followSettings(server: Server, launcher: Launcher, update: () => void): vscode.Disposable[] {
  let asked = "";
  const offerRestart = async () => {
    const waiting = server.waitingForRestart();
    const names = waiting.map((name) => `aix.${name}`).join(", ");
    // once for each set of changes, and not while a restart comes anyway
    if (names === asked || launcher.isHoldingBack) return;
    asked = names;
    if (names === "") return;
    await offer(`${names} ${waiting.length === 1 ? "counts" : "count"}`);
  };
  const startOrOffer = async () => {
    if (launcher.isHoldingBack) return;
    if (server.phase === "missing" || server.phase === "failed") await launcher.launch();
    else await offer("The setting of the server's program counts");
  };
  const offer = async (what: string) => {
    const button = await vscode.window.showInformationMessage(
      `aix: ${what} after a restart of the server.`,
      "Restart",
      "Later",
    );
    if (button === "Restart") await launcher.launch();
  };
  return [
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("editor.inlineSuggest")) update();
      if (!event.affectsConfiguration("aix")) return;
      if (OF_THE_START.some((name) => event.affectsConfiguration(name))) void startOrOffer();
      else void offerRestart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      void server.askForSettings();
      void offerRestart();
    }),
    server.changed(() => {
      if (server.phase === "starting") asked = "";
    }),
  ];
}
