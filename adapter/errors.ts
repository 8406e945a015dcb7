import { randomUUID } from 'node:crypto';

import type * as Public from '../index.js';

type Context = Record<string, unknown>;

export class RealtimeError extends Error implements Public.RealtimeError {
  override readonly name = 'RealtimeError';
  readonly code: string;
  readonly correlationId: string;
  readonly context: Context;

  constructor(
    code: string,
    message: string,
    options: { cause?: unknown; correlationId?: string; context?: Context } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.correlationId = options.correlationId ?? randomUUID();
    this.context = options.context ?? {};
  }

  /** Native errors carry a code but are of no class of ours, and their stack ends at the border. */
  static from(error: unknown, context: Context = {}): RealtimeError {
    if (error instanceof RealtimeError) return error;
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    return new RealtimeError(
      typeof code === 'string' ? code : 'REALTIME_ERROR',
      typeof message === 'string' ? message : String(error),
      { cause: error, context },
    );
  }
}
