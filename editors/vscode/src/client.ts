// The language client: what it is told, and what it asks for.
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  type ClientCapabilities,
  type LanguageClientOptions,
  type ShowDocumentParams,
  type ShowDocumentResult,
  type StaticFeature,
} from "vscode-languageclient/node";
import { levelOf } from "./logLines";
import type { ServerCommand } from "./serverChoice";
import { machineValues, sharedValues, type Inspect, type Option } from "./settings";

/** What completions are offered in: every language, in files, new files and cells of notebooks. */
export const DOCUMENTS = [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }];

/** What a client needs of its surroundings. */
export interface Surroundings {
  readonly channel: vscode.LogOutputChannel;
  readonly options: readonly Option[];
  /** A folder that is nobody's workspace: a Python started in a workspace would import what lies there. */
  readonly folder: string;
  /** The server went away without being told to. */
  readonly onClosed: () => void;
  /** A line of the server's standard error. */
  readonly onLine: (line: string) => void;
  readonly onStatus: (params: unknown) => void;
}

/** Tells everything to the log and shows nothing itself: what a person must know is said once, by `Server`. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  override warn(message: string, data?: unknown): void {
    super.warn(message, data, false);
  }

  override info(message: string, data?: unknown): void {
    super.info(message, data, false);
  }
}

/** A client for this command, not started yet. */
export function createClient(command: ServerCommand, surroundings: Surroundings): LanguageClient {
  const options: LanguageClientOptions = {
    documentSelector: DOCUMENTS,
    outputChannel: surroundings.channel,
    traceOutputChannel: surroundings.channel,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    stdioOptions: {
      stdout: () => undefined, // the protocol's own
      stderr: (stream, channel) => {
        forward(stream, channel, surroundings.onLine);
      },
    },
    initializationOptions: () => machineValues(surroundings.options, inspectFor(undefined)),
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        surroundings.onClosed();
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    middleware: {
      workspace: {
        configuration: (params) =>
          params.items.map((item) => {
            if (item.section !== "aix") return null;
            const scope = item.scopeUri == null ? undefined : vscode.Uri.parse(item.scopeUri);
            return sharedValues(surroundings.options, inspectFor(scope), vscode.workspace.isTrusted);
          }),
      },
      window: {
        showDocument: async (params, token, next): Promise<ShowDocumentResult> => {
          if (await showPreview(params)) return { success: true };
          return (await next(params, token)) as ShowDocumentResult;
        },
      },
    },
  };
  const client = new QuietClient(
    "aix",
    "aix-lsp",
    {
      command: command.program,
      args: [...command.arguments],
      options: { cwd: surroundings.folder, env: command.environment },
    },
    options,
  );
  client.registerFeature(wantsStatus());
  client.onNotification("aix/status", surroundings.onStatus);
  return client;
}

/** What the user and the workspace set of `aix.NAME`. */
export function inspectFor(scope: vscode.Uri | undefined): Inspect {
  const configuration = vscode.workspace.getConfiguration("aix", scope ?? null);
  return (name) => configuration.inspect(name);
}

/** Without this capability the server sends no `aix/status`. */
function wantsStatus(): StaticFeature {
  return {
    fillClientCapabilities: (capabilities: ClientCapabilities) => {
      const experimental = (capabilities.experimental ?? {}) as Record<string, unknown>;
      capabilities.experimental = { ...experimental, aix: { status: true } };
    },
    initialize: () => undefined,
    getState: () => ({ kind: "static" }),
    clear: () => undefined,
  };
}

/** Show a page of `aix.inspect` as it is meant to be read. False where that is not what is asked for, or fails. */
async function showPreview(params: ShowDocumentParams): Promise<boolean> {
  if (params.external === true || !params.uri.endsWith(".md")) return false;
  try {
    await vscode.commands.executeCommand("markdown.showPreview", vscode.Uri.parse(params.uri));
    return true;
  } catch {
    return false; // VS Code's own Markdown extension is switched off
  }
}

/** What the user set of an option of this extension that belongs to the machine: never the workspace's value. */
export function machineSetting<T>(name: string, unset: T): T {
  const found = vscode.workspace.getConfiguration("aix").inspect<T>(name);
  return found?.globalValue ?? found?.defaultValue ?? unset;
}

function forward(stream: Readable, channel: vscode.LogOutputChannel, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on("line", (line) => {
    channel[levelOf(line)](line);
    onLine(line);
  });
}
