// The item in the status bar and the one in the list of the language's states.
import * as vscode from "vscode";
import { DOCUMENTS } from "./client";
import { shown, type Severity, type View } from "./status";

const LANGUAGE_SEVERITY: Readonly<Record<Severity, vscode.LanguageStatusSeverity>> = {
  information: vscode.LanguageStatusSeverity.Information,
  warning: vscode.LanguageStatusSeverity.Warning,
  error: vscode.LanguageStatusSeverity.Error,
};

/** Both items. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("aix-lsp.status", vscode.StatusBarAlignment.Right, 90);
  private readonly language = vscode.languages.createLanguageStatusItem("aix-lsp.language", DOCUMENTS);

  constructor(menuCommand: string) {
    this.item.name = "aix completions";
    this.item.command = menuCommand;
    this.language.name = "aix completions";
    this.language.command = { command: menuCommand, title: "Menu" };
    this.item.show();
  }

  show(view: View): void {
    const now = shown(view);
    this.item.text = now.text;
    this.item.tooltip = new vscode.MarkdownString(now.tooltip);
    this.item.accessibilityInformation = { label: `aix completions: ${now.title}` };
    this.item.backgroundColor =
      now.severity === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    this.language.text = `aix: ${now.title}`;
    this.language.detail = now.detail;
    this.language.severity = LANGUAGE_SEVERITY[now.severity];
    this.language.busy = now.isBusy;
  }

  dispose(): void {
    this.item.dispose();
    this.language.dispose();
  }
}
