/** As much of `@civicpress/core` as the package takes from it, in the same shapes; remembers what it was told. */

/** Each line: the function's name and its arguments. */
export const lines = [];

const says =
  (name) =>
  (...args) =>
    void lines.push([name, ...args]);

export const coreDebug = says('coreDebug');
export const coreInfo = says('coreInfo');
export const coreWarn = says('coreWarn');
export const coreError = says('coreError');

export const CentralConfigManager = { getPublicRecordStatuses: () => ['published', 'archived'] };

export class CivicPressError extends Error {
  constructor(message, context) {
    super(message);
    this.name = this.constructor.name;
    this.context = context;
    this.correlationId = `err_${Date.now().toString(36)}_0000000`;
  }
}

export class ValidationError extends CivicPressError {
  code = 'VALIDATION_ERROR';
  statusCode = 400;

  constructor(message, details) {
    super(message, { details });
  }
}

export class NotFoundError extends CivicPressError {
  code = 'NOT_FOUND';
  statusCode = 404;

  constructor(message, resourceId) {
    super(message, { resourceId });
  }
}

export class UnauthorizedError extends CivicPressError {
  code = 'UNAUTHORIZED';
  statusCode = 401;
}
