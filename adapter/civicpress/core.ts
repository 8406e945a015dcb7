/**
 * The host's own `@civicpress/core`, where this package is installed beside it. It is never bundled: errors
 * must be of the host's very classes, log lines must go through its one output.
 */

interface ErrorClass {
  new (message: string, detail?: unknown): Error & { context?: Record<string, unknown> | undefined };
}

/** What of core is used. */
export interface Core {
  CivicPressError: ErrorClass;
  NotFoundError: ErrorClass;
  ValidationError: ErrorClass;
  UnauthorizedError: ErrorClass;
  coreDebug(message: string, data?: unknown, context?: object): void;
  coreInfo(message: string, context?: object): void;
  coreWarn(message: string, context?: object): void;
  coreError(message: string | Error, code?: string, details?: unknown, context?: object): void;
  /** Since the version that keeps unpublished records from those who may only view. */
  CentralConfigManager?: { getPublicRecordStatuses?(): string[] };
}

// Not a literal: bundlers and type checkers would want the module to be there.
const CORE: string = '@civicpress/core';

async function load(): Promise<Core | undefined> {
  try {
    return (await import(/* @vite-ignore */ CORE)) as Core;
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    // A core that is there and broken is the host's to hear of.
    if (code === 'ERR_MODULE_NOT_FOUND' && message?.includes(CORE)) return undefined;
    throw error;
  }
}

export const core: Core | undefined = await load();
