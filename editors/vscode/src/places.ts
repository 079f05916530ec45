// Where programs may be looked for on this machine.
import * as vscode from "vscode";
import type { Places } from "./executables";

/** PATH, but never what lies in the workspace. */
export function placesHere(): Places {
  return {
    path: process.env.PATH ?? process.env.Path ?? "",
    platform: process.platform,
    forbidden: (vscode.workspace.workspaceFolders ?? [])
      .filter((folder) => folder.uri.scheme === "file")
      .map((folder) => folder.uri.fsPath),
  };
}
