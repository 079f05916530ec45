// The first steps, opened by themselves once.
import * as vscode from "vscode";

const SHOWN = "aix.walkthroughShown";

/** Open them. */
export async function openWalkthrough(context: vscode.ExtensionContext): Promise<void> {
  await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false);
}

/** Open them if they have never been, the user lets extensions do so, and nobody is about to type into a document. */
export async function showWalkthroughOnce(context: vscode.ExtensionContext): Promise<void> {
  if (context.globalState.get<boolean>(SHOWN) === true || isDocumentOpen()) return;
  await context.globalState.update(SHOWN, true);
  const welcome = vscode.workspace.getConfiguration("workbench.welcomePage.walkthroughs");
  if (welcome.get<boolean>("openOnInstall") !== false) await openWalkthrough(context);
}

function isDocumentOpen(): boolean {
  return vscode.window.tabGroups.all.some((group) => {
    const input = group.activeTab?.input;
    return (
      input instanceof vscode.TabInputText ||
      input instanceof vscode.TabInputTextDiff ||
      input instanceof vscode.TabInputNotebook
    );
  });
}
