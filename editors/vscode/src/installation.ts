// Installing the server into the extension's storage: asked first, shown while it runs, whole or not there at all.
import { statfsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { machineSetting } from "./client";
import { message } from "./errors";
import { carriedIn, forPip, plan, progressOf, question } from "./installPlan";
import type { Managed } from "./managed";
import { placesHere } from "./places";
import { findPython, probeIn } from "./python";
import { runStep } from "./runStep";
import { isolated } from "./serverChoice";

const NEEDED_BYTES = 3e9;

export type Answer = "yes" | "choose" | "no" | "later";

/** One for the extension. */
export class Installation {
  /** Ends what is under way. */
  private stop: AbortController | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly managed: Managed,
    private readonly channel: vscode.LogOutputChannel,
  ) {}

  get isUnderWay(): boolean {
    return this.stop !== undefined;
  }

  /** End what is under way: nothing goes on when the window has gone. */
  cancel(): void {
    this.stop?.abort();
  }

  /** The version of the server that this extension carries, which is its own. */
  get version(): string {
    return String((this.context.extension.packageJSON as Record<string, unknown>).version);
  }

  /** The question, in a notification. */
  async ask(kind: "install" | "upgrade"): Promise<Answer> {
    const [yes, choose, no] = [kind === "install" ? "Install" : "Upgrade", "Choose a server", "Not now"];
    const button = await vscode.window.showInformationMessage(this.question(kind), yes, choose, no);
    return button === yes ? "yes" : button === choose ? "choose" : button === no ? "no" : "later";
  }

  /** Where this version is installed. */
  get place(): { folder: string; python: string } {
    const folder = this.managed.folder(this.version);
    return { folder, python: this.managed.python(folder) };
  }

  /** The question, where a person chose to install: it waits for the answer. `named` is the setting aix.serverPath. */
  async agreed(named: string): Promise<boolean> {
    const instead = named === "" ? "" : ` It is then used instead of ${named}: the setting aix.serverPath is cleared.`;
    const button = await vscode.window.showInformationMessage(
      "Install the server of aix?",
      { modal: true, detail: this.question("install") + instead },
      "Install",
    );
    return button === "Install";
  }

  /** Do it. False where it was cancelled or failed, which has been told. */
  async run(): Promise<boolean> {
    if (this.isUnderWay) return false;
    const stop = new AbortController();
    this.stop = stop;
    try {
      return await vscode.window.withProgress(
        { location: vscode.ProgressLocation.Notification, title: "aix", cancellable: true },
        (progress, token) => {
          token.onCancellationRequested(() => {
            stop.abort();
          });
          return this.install(progress, stop.signal);
        },
      );
    } finally {
      this.stop = undefined;
    }
  }

  /** Take away what is not needed any more. */
  async tidy(): Promise<void> {
    if (!this.managed.lock()) return;
    try {
      for (const name of await this.managed.removeOld(this.version)) {
        this.channel.info(`${join(this.managed.root, name)} is still in use; it is removed later`);
      }
    } finally {
      this.managed.unlock();
    }
  }

  private async install(
    progress: vscode.Progress<{ message?: string; increment?: number }>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!this.managed.lock()) {
      void vscode.window.showInformationMessage("aix: a server is being installed or removed just now, perhaps by another window. Try again in a moment.");
      return false;
    }
    try {
      await this.steps(progress, signal);
      this.channel.info(`aix-lsp ${this.version} is installed in ${this.managed.folder(this.version)}`);
      return true;
    } catch (error) {
      await this.managed.remove(this.version).catch((failure: unknown) => {
        this.channel.warn(`what was begun could not be removed: ${message(failure)}`);
      });
      if (signal.aborted) this.channel.info("the installation was cancelled");
      else void this.tellFailure(message(error));
      return false;
    } finally {
      this.managed.unlock();
    }
  }

  private async steps(
    progress: vscode.Progress<{ message?: string; increment?: number }>,
    signal: AbortSignal,
  ): Promise<void> {
    const carried = carriedIn(join(this.context.extensionPath, "server"));
    const folder = this.managed.folder(this.version);
    const environment = forPip(isolated(process.env));
    const neutral = this.context.globalStorageUri.fsPath;
    this.refuseFullDisk(neutral);
    progress.report({ message: "looking for Python" });
    const torchIndex = machineSetting<string>("install.torchIndex", "");
    const base = await findPython(machineSetting<string>("install.python", ""), placesHere(), probeIn(neutral, environment));
    this.channel.info(`installing aix-lsp ${this.version} into ${folder} with ${base.facts.executable}`);
    await this.managed.remove(this.version); // what an earlier attempt has left
    for (const step of plan(base, folder, this.managed.python(folder), carried, torchIndex, this.version)) {
      progress.report({ message: step.title });
      this.channel.info([step.program, ...step.arguments].join(" "));
      const output = await runStep(step, {
        folder: neutral,
        environment,
        signal,
        onLine: (line) => {
          this.channel.info(line);
          const told = progressOf(line);
          if (told !== undefined) progress.report({ message: `${step.title}: ${told}` });
        },
      });
      if (step.prints !== undefined && !output.includes(step.prints)) {
        throw new Error(`${step.title}: it says ${output.trim().slice(0, 200)}, not ${step.prints}`);
      }
      progress.report({ increment: step.share });
    }
    this.managed.finish(this.version);
  }

  private refuseFullDisk(folder: string): void {
    let free;
    try {
      const disk = statfsSync(folder);
      free = disk.bavail * disk.bsize;
    } catch {
      return; // a file system that does not tell
    }
    if (free < NEEDED_BYTES) throw new Error(`the disk of ${folder} has ${(free / 1e9).toFixed(1)} GB free; 3 GB are needed`);
  }

  private async tellFailure(why: string): Promise<void> {
    this.channel.error(why);
    const button = await vscode.window.showErrorMessage(`aix: the server was not installed. ${why}`, "Show log", "Settings");
    if (button === "Show log") this.channel.show();
    if (button === "Settings") await vscode.commands.executeCommand("workbench.action.openSettings", "aix.install");
  }

  private question(kind: "install" | "upgrade"): string {
    const torchIndex = machineSetting<string>("install.torchIndex", "");
    return question(kind, this.version, this.managed.root, process.platform, torchIndex);
  }
}
