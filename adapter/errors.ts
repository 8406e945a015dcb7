/** The package's errors. Beside `@civicpress/core` they are of core's classes, else of the same shape. */

import type * as Public from '../index.js';
import { core } from './civicpress/core.js';

type Context = Record<string, unknown>;

/** What core's own base class does, for where there is no core. */
class PlainError extends Error {
  code = 'REALTIME_ERROR';
  statusCode = 500;
  context?: Context | undefined;
  readonly correlationId: string;

  constructor(message: string, context?: Context) {
    super(message);
    this.name = this.constructor.name;
    this.context = context;
    const random = Math.random().toString(36).slice(2, 9).padEnd(7, '0');
    this.correlationId = `err_${Date.now().toString(36)}_${random}`;
  }

  toJSON(): Public.CivicPressErrorJson {
    const { name, code, message, statusCode, context, correlationId } = this;
    return { name, code, message, statusCode, ...(context && { context }), correlationId };
  }

  getOutputDetails(): ReturnType<Public.CivicPressError['getOutputDetails']> {
    const { name: errorType, code, message, statusCode, context, correlationId } = this;
    return {
      message,
      code,
      details: context?.['details'] ?? context,
      context: { ...context, correlationId, errorType, statusCode },
    };
  }
}

type ErrorClass = new (message: string, detail?: unknown) => Public.CivicPressError;

function base(
  name: 'CivicPressError' | 'NotFoundError' | 'ValidationError' | 'UnauthorizedError',
): ErrorClass {
  return (core?.[name] ?? PlainError) as unknown as ErrorClass;
}

export class RealtimeError extends base('CivicPressError') implements Public.RealtimeError {
  override code = 'REALTIME_ERROR';
  override statusCode = 500;
  declare context: Context;

  constructor(message: string, context: Context = {}) {
    super(message, context);
    this.context = context;
  }
}

export class RoomNotFoundError extends base('NotFoundError') implements Public.RoomNotFoundError {
  override code = 'ROOM_NOT_FOUND';
  override statusCode = 404;

  constructor(roomId: string, context: Context = {}) {
    super(`Room '${roomId}' not found`, roomId);
    this.context = { roomId, ...context };
  }
}

export class ConnectionLimitExceededError
  extends base('ValidationError')
  implements Public.ConnectionLimitExceededError
{
  override code = 'CONNECTION_LIMIT_EXCEEDED';
  override statusCode = 429;

  constructor(limit: number, context: Context = {}) {
    super(`Connection limit exceeded: ${limit}`, { limit, ...context });
    this.context = { details: { limit, ...context } };
  }
}

export class InvalidYjsUpdateError extends base('ValidationError') implements Public.InvalidYjsUpdateError {
  override code = 'INVALID_YJS_UPDATE';
  override statusCode = 400;

  constructor(message: string, context: Context = {}) {
    super(`Invalid yjs update: ${message}`, context);
    this.context = { details: context };
  }
}

export class AuthenticationFailedError
  extends base('UnauthorizedError')
  implements Public.AuthenticationFailedError
{
  override code = 'AUTH_FAILED';
  override statusCode = 401;

  constructor(context: Context = {}) {
    super('Authentication failed');
    this.context = context;
  }
}

export class PermissionDeniedError extends base('UnauthorizedError') implements Public.PermissionDeniedError {
  override code = 'PERMISSION_DENIED';
  override statusCode = 401;

  constructor(resource: string, context: Context = {}) {
    super(`Permission denied for resource: ${resource}`);
    this.context = { resource, ...context };
  }
}

/** An error with one of the engine's own codes. */
export function realtimeError(
  code: string,
  message: string,
  options: { cause?: unknown; context?: Context } = {},
): RealtimeError {
  const error = new RealtimeError(message, options.context);
  error.code = code;
  if ('cause' in options) error.cause = options.cause;
  return error;
}

/** Native errors carry a code but are of no class of ours, and their stack ends at the border. */
export function asRealtimeError(error: unknown, context: Context = {}): RealtimeError {
  if (error instanceof RealtimeError) return error;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return realtimeError(
    typeof code === 'string' ? code : 'REALTIME_ERROR',
    typeof message === 'string' ? message : String(error),
    { cause: error, context },
  );
}
