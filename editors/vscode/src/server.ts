// One server at a time: started, watched, started again when it goes down, stopped.
import * as vscode from "vscode";
import { State, type LanguageClient } from "vscode-languageclient/node";
import { Backoff } from "./backoff";
import { createClient, inspectFor } from "./client";
import { message } from "./errors";
import type { ServerCommand } from "./serverChoice";
import { changedOptions, restartState, type Option } from "./settings";
import { readStatus, type Phase, type ServerStatus } from "./status";

/** The server's life. `changed` fires when anything that is shown did. */
export class Server implements vscode.Disposable {
  readonly changed: vscode.Event<void>;
  private readonly changes = new vscode.EventEmitter<void>();
  private readonly backoff = new Backoff();
  private client: LanguageClient | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** One after the other: a start never meets a stop that is under way. */
  private queue: Promise<void> = Promise.resolve();
  private settingsAtStart = "";
  private phase_: Phase = "stopped";
  private note_ = "";
  private status_: ServerStatus | undefined;
  private command_: ServerCommand | undefined;
  private isDisposed = false;
  /** What the server wrote last to its standard error. */
  private lastLine = "";

  constructor(
    private readonly channel: vscode.LogOutputChannel,
    private readonly options: readonly Option[],
    /** Where it runs: nobody's workspace. */
    readonly folder: string,
  ) {
    this.changed = this.changes.event;
  }

  get phase(): Phase {
    return this.phase_;
  }

  get note(): string {
    return this.note_;
  }

  get status(): ServerStatus | undefined {
    return this.status_;
  }

  /** What is running, or ran last. */
  get command(): ServerCommand | undefined {
    return this.command_;
  }

  /** Whether the server that runs knows this command. */
  knows(command: string): boolean {
    const offered = this.client?.initializeResult?.capabilities.executeCommandProvider?.commands;
    return offered?.includes(command) ?? false;
  }

  /** Start this server in place of the one that runs. Never throws: what goes wrong is told to the user. */
  async start(command: ServerCommand): Promise<void> {
    this.backoff.forget();
    await this.inTurn(async () => {
      await this.end();
      this.begin(command);
    });
  }

  /** Stop, and show why there is none. */
  async stop(phase: Phase = "stopped", note = ""): Promise<void> {
    await this.inTurn(async () => {
      await this.end();
      this.show(phase, note);
    });
  }

  /** Stop for good. */
  async close(): Promise<void> {
    this.isDisposed = true;
    await this.inTurn(() => this.end());
  }

  dispose(): void {
    void this.close();
    this.changes.dispose();
  }

  /** Show something that is done instead of a server. */
  show(phase: Phase, note = ""): void {
    this.phase_ = phase;
    this.note_ = note;
    if (phase !== "running") this.status_ = undefined;
    if (!this.isDisposed) this.changes.fire();
  }

  /** One of the server's own commands. Throws where there is no server. */
  async execute(command: string, ...parameters: unknown[]): Promise<unknown> {
    if (this.client?.state !== State.Running) throw new Error("the server is not running");
    return this.client.sendRequest("workspace/executeCommand", { command, arguments: parameters });
  }

  /** The options whose new values count after a restart only, by name. */
  waitingForRestart(): string[] {
    if (this.client === undefined) return [];
    return changedOptions(this.options, this.settingsAtStart, this.settingsNow());
  }

  /** Let the server ask for its settings anew. */
  async askForSettings(): Promise<void> {
    if (this.client?.state !== State.Running) return;
    await this.client.sendNotification("workspace/didChangeConfiguration", { settings: null });
  }

  /** Not waited for: a server that never answers must not keep a restart waiting. */
  private begin(command: ServerCommand): void {
    if (this.isDisposed) return;
    this.lastLine = "";
    this.command_ = command;
    this.settingsAtStart = this.settingsNow();
    this.show("starting");
    this.channel.info(`starting ${command.origin}: ${[command.program, ...command.arguments].join(" ")}`);
    const client: LanguageClient = createClient(command, {
      channel: this.channel,
      options: this.options,
      folder: this.folder,
      onClosed: () => {
        this.lost(client);
      },
      onLine: (line) => {
        if (line.trim() !== "") this.lastLine = line.trim();
      },
      onStatus: (params) => {
        if (this.client !== client) return;
        this.status_ = readStatus(params) ?? this.status_;
        this.changes.fire();
      },
    });
    this.client = client;
    client.start().then(
      () => {
        if (!this.is(client)) return;
        this.backoff.ready();
        this.show("running");
      },
      (error: unknown) => {
        if (this.is(client)) this.channel.error(`the server could not be started: ${message(error)}`);
        this.lost(client);
      },
    );
  }

  private async end(): Promise<void> {
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined; // what it says from now on is not heard
    if (client === undefined) return;
    const process = client.serverProcess;
    try {
      await client.dispose(5000);
    } catch (error) {
      this.channel.warn(`the server did not stop as it should: ${message(error)}`);
      process?.kill("SIGKILL");
    }
  }

  /** It ended, or never began. Called more than once for one end. */
  private lost(client: LanguageClient): void {
    if (!this.is(client)) return;
    const command = this.command_;
    const process = client.serverProcess;
    if (process?.exitCode === null) process.kill("SIGKILL");
    this.client = undefined;
    if (this.isDisposed || command === undefined) return;
    const delay = this.backoff.ended();
    if (delay === undefined) {
      this.giveUp(command);
      return;
    }
    this.channel.warn(`the server ended by itself; it is started again in ${delay / 1000} s`);
    this.show("waiting", "the server ended by itself and is started again");
    this.timer = setTimeout(() => {
      void this.inTurn(() => {
        if (this.client === undefined) this.begin(command);
      });
    }, delay);
  }

  private giveUp(command: ServerCommand): void {
    const last = this.lastLine === "" ? "" : `: ${this.lastLine.slice(0, 200)}`;
    const note = `the server keeps ending by itself (${command.origin})${last}`;
    this.show("failed", note);
    void vscode.window
      .showErrorMessage(`aix: ${note}`, "Show log", "Start again")
      .then((button) => {
        if (button === "Show log") this.channel.show();
        if (button === "Start again") void this.start(command);
      });
  }

  private is(client: LanguageClient): boolean {
    return this.client === client;
  }

  private settingsNow(): string {
    return restartState(this.options, inspectFor(undefined), vscode.workspace.isTrusted);
  }

  private async inTurn(work: () => Promise<void> | void): Promise<void> {
    const turn = this.queue.then(work);
    this.queue = turn.catch((error: unknown) => {
      this.channel.error(message(error));
    });
    await this.queue;
  }
}
