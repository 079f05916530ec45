// Finds the server to start, starts it, or offers to install it.
import * as vscode from "vscode";
import { machineSetting } from "./client";
import { message } from "./errors";
import { Installation } from "./installation";
import { Managed } from "./managed";
import { placesHere } from "./places";
import type { Server } from "./server";
import { chooseServer, type Choice } from "./serverChoice";

const DECLINED = "aix.installDeclined";

/** One for the extension. */
export class Launcher {
  /** While true, changes of settings are ours and a restart follows anyway. */
  isHoldingBack = false;
  private readonly managed: Managed;
  private readonly installation: Installation;
  private isOffering = false;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly server: Server,
    private readonly channel: vscode.LogOutputChannel,
  ) {
    this.managed = new Managed(context.globalStorageUri.fsPath);
    this.installation = new Installation(context, this.managed, channel);
  }

  /**
   * Start the server that the settings and the machine give; where there is none, say so and offer one. Never throws:
   * what goes wrong is told to the user.
   */
  async launch(): Promise<void> {
    // the server that is being installed is started when it is there
    if (this.installation.isUnderWay && this.server.phase === "installing") return;
    try {
      await this.startOrOffer();
    } catch (error) {
      await this.tell(message(error));
    }
  }

  /** End an installation that is under way. */
  close(): void {
    this.installation.cancel();
  }

  /** Ask, install, start. The servers of other windows and versions go on until the new one is whole. */
  async install(): Promise<void> {
    if (this.installation.isUnderWay) return;
    const named = machineSetting<string>("serverPath", "");
    if (!(await this.installation.agreed(named))) return;
    await this.installAgreed();
  }

  /** Let the user point to a server's program. */
  async chooseServer(): Promise<void> {
    const found = await vscode.window.showOpenDialog({
      title: "The program aix-lsp",
      openLabel: "Use this server",
      canSelectMany: false,
    });
    const file = found?.[0];
    if (file === undefined) return;
    await this.change(() =>
      vscode.workspace
        .getConfiguration("aix")
        .update("serverPath", file.fsPath, vscode.ConfigurationTarget.Global),
    );
  }

  /** Change settings of ours, then start anew with them. */
  async change(write: () => Thenable<void>): Promise<void> {
    this.isHoldingBack = true;
    try {
      await write();
    } finally {
      this.isHoldingBack = false;
    }
    await this.launch();
  }

  private async startOrOffer(): Promise<void> {
    const choice = this.choose();
    switch (choice.kind) {
      case "start":
        await this.server.start(choice.command);
        void this.installation.tidy();
        return;
      case "outdated":
        await this.server.start(choice.command);
        await this.offer("upgrade");
        return;
      case "wrong":
        await this.server.stop("failed", choice.why);
        await this.tell(choice.why);
        return;
      case "none":
        await this.server.stop("missing", "the server is not installed yet");
        await this.offer("install");
    }
  }

  private choose(): Choice {
    return chooseServer(
      {
        serverPath: machineSetting<string>("serverPath", ""),
        serverArguments: machineSetting<string[]>("serverArguments", []),
        version: this.installation.version,
        installed: this.managed.installed(),
        environment: process.env,
      },
      placesHere(),
    );
  }

  /** Ask once for a version; the status bar's menu has it from then on. */
  private async offer(kind: "install" | "upgrade"): Promise<void> {
    const { version } = this.installation;
    if (this.isOffering || this.context.globalState.get<string>(DECLINED) === `${kind} ${version}`) return;
    this.isOffering = true;
    try {
      const answer = await this.installation.ask(kind);
      if (answer === "choose") await this.chooseServer();
      if (answer === "no") await this.context.globalState.update(DECLINED, `${kind} ${version}`);
      if (answer === "yes") await this.installAgreed();
    } finally {
      this.isOffering = false;
    }
  }

  private async installAgreed(): Promise<void> {
    // a server whose own files are replaced cannot go on meanwhile
    const { folder, python } = this.installation.place;
    if (this.server.command?.program === python) await this.server.stop("installing", "the server is installed anew");
    const goesOn = this.server.phase === "running";
    if (!goesOn) this.server.show("installing", `the server is being installed into ${folder}`);
    const isThere = await this.installation.run();
    if (isThere && machineSetting<string>("serverPath", "") !== "") {
      await this.change(() =>
        vscode.workspace.getConfiguration("aix").update("serverPath", undefined, vscode.ConfigurationTarget.Global),
      );
    } else if (isThere) {
      await this.launch();
    } else if (!goesOn) {
      this.server.show("missing", "the server is not installed yet");
    }
  }

  private async tell(why: string): Promise<void> {
    this.channel.error(why);
    const button = await vscode.window.showErrorMessage(`aix: ${why}`, "Settings", "Show log");
    if (button === "Settings") await vscode.commands.executeCommand("workbench.action.openSettings", "aix.server");
    if (button === "Show log") this.channel.show();
  }
}
