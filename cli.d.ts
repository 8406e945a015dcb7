/** Commands for the CLI of CivicPress: `import { registerRealtimeCommands } from '@civicpress/realtime/cli'`. */

/** As much of cac as is used; a `CAC` fits. */
export interface CivicCli {
  command(name: string, description: string): CivicCommand;
}

export interface CivicCommand {
  option(name: string, description: string): CivicCommand;
  action(run: (options: Record<string, unknown>) => Promise<void>): unknown;
}

/**
 * Adds `realtime:start`: the engine with the core of CivicPress and without its API; with `--api` the API is
 * the host over HTTP, with `--standalone` there is no CivicPress at all. Failures set the process's exit code.
 */
export declare function registerRealtimeCommands(cli: CivicCli): void;
