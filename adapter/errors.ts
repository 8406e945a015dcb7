import type * as Public from '../index.js';

export class RealtimeError extends Error implements Public.RealtimeError {
  override readonly name = 'RealtimeError';
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Native errors carry a code but are of no class of ours, and their stack ends at the border. */
  static from(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    return new RealtimeError(
      typeof code === 'string' ? code : 'REALTIME_ERROR',
      typeof message === 'string' ? message : String(error),
      { cause: error },
    );
  }
}

/** Runs native code; what it throws or rejects with becomes a {@link RealtimeError}. */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw RealtimeError.from(error);
  }
}
