// Settings of VS Code itself that decide whether offers are seen.
import * as vscode from "vscode";

/** Why VS Code shows no offers in the active document by itself; empty where it does. */
export function hiddenBecause(): string {
  const document = vscode.window.activeTextEditor?.document;
  const isOn = vscode.workspace.getConfiguration("editor", document ?? null).get<boolean>("inlineSuggest.enabled");
  return isOn === false ? "VS Code's setting editor.inlineSuggest.enabled is off" : "";
}

/** Switch that on for the user. */
export async function showSuggestions(): Promise<void> {
  await vscode.workspace
    .getConfiguration("editor")
    .update("inlineSuggest.enabled", true, vscode.ConfigurationTarget.Global);
}
