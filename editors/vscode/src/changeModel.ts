// Choosing another model, and downloading one first where it is not on disk.
import * as vscode from "vscode";
import type { Launcher } from "./launcher";
import { downloadQuestion, items, readModels, type Choice, type Item, type Model } from "./models";
import type { Server } from "./server";
import { withCommand } from "./serverChoice";

/** The list of models; the chosen one is written into the user's settings and loaded. */
export async function changeModel(server: Server, launcher: Launcher): Promise<void> {
  // the server looks at the machine first, which takes seconds: the list is open meanwhile
  const answer: Promise<unknown> = server.knows("aix.models") ? server.execute("aix.models") : Promise.resolve({});
  const picks = answer.then((told) => items(readModels(told)).map(asPick));
  const picked = await vscode.window.showQuickPick(picks, {
    title: "Which model answers?",
    placeHolder: "Its files stay on this machine, and your code too",
    matchOnDetail: true,
  });
  if (picked?.choice !== undefined) await act(picked.choice, server, launcher);
}

async function act(choice: Choice, server: Server, launcher: Launcher): Promise<void> {
  switch (choice.kind) {
    case "use":
      await use(choice.name, launcher);
      return;
    case "download":
      await download(choice.model, server, launcher);
      return;
    case "name": {
      const name = await vscode.window.showInputBox({
        title: "The model's name on the Hugging Face Hub",
        placeHolder: "owner/model",
        validateInput: (text) => (/^\s*[\w.-]+(\/[\w.-]+)?\s*$/.test(text) ? undefined : "A name looks like owner/model"),
      });
      if (name !== undefined) await use(name.trim(), launcher);
      return;
    }
    case "folder": {
      const folder = await vscode.window.showOpenDialog({
        title: "A folder with a model's files",
        openLabel: "Use this model",
        canSelectFiles: false,
        canSelectFolders: true,
      });
      if (folder?.[0] !== undefined) await use(folder[0].fsPath, launcher);
    }
  }
}

async function use(name: string, launcher: Launcher): Promise<void> {
  await launcher.change(() =>
    vscode.workspace.getConfiguration("aix").update("model.name", name, vscode.ConfigurationTarget.Global),
  );
}

async function download(model: Model, server: Server, launcher: Launcher): Promise<void> {
  const command = server.command === undefined ? undefined : withCommand(server.command, ["download", model.name]);
  const words = `aix-lsp download ${model.name}`;
  if (command === undefined) {
    void vscode.window.showInformationMessage(`aix: ${downloadQuestion(model)} Get it with: ${words}`);
    return;
  }
  const button = await vscode.window.showInformationMessage(
    `aix: ${downloadQuestion(model)} It can be downloaded in a terminal, which shows the licence and asks.`,
    "Download in a terminal",
    "Copy the command",
  );
  if (button === "Copy the command") {
    const line = [command.program, ...command.arguments].map((part) => (/\s/.test(part) ? `"${part}"` : part)).join(" ");
    await vscode.env.clipboard.writeText(line);
  }
  if (button !== "Download in a terminal") return;
  const variables: Record<string, string | undefined> = { ...command.environment, PYTHONSAFEPATH: "1" };
  const environment = Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const task = new vscode.Task(
    { type: "aix-lsp", model: model.name },
    vscode.TaskScope.Global,
    words,
    "aix",
    // without a folder of its own it would run in the workspace, and a Python import what lies there
    new vscode.ProcessExecution(command.program, [...command.arguments], {
      cwd: server.folder,
      env: Object.fromEntries(environment),
    }),
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, focus: true, panel: vscode.TaskPanelKind.Dedicated };
  if ((await exitCode(task)) !== 0) return;
  const answer = await vscode.window.showInformationMessage(`aix: ${model.name} is on this machine now.`, "Use it");
  if (answer === "Use it") await use(model.name, launcher);
}

/** Run a task to its end. */
async function exitCode(task: vscode.Task): Promise<number | undefined> {
  const execution = await vscode.tasks.executeTask(task);
  return new Promise((done) => {
    const listening = vscode.tasks.onDidEndTaskProcess((event) => {
      if (event.execution !== execution) return;
      listening.dispose();
      done(event.exitCode);
    });
  });
}

function asPick(item: Item): vscode.QuickPickItem & { choice?: Choice } {
  if (item.choice === undefined) return { label: item.label, kind: vscode.QuickPickItemKind.Separator };
  return item;
}
