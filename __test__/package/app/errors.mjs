/** Which of core's classes each error is of. */

import * as core from '@civicpress/core';
import * as realtime from '@civicpress/realtime';

const CLASSES = ['NotFoundError', 'ValidationError', 'UnauthorizedError', 'CivicPressError'];
const errors = Object.entries(realtime).filter(([name]) => name.endsWith('Error'));
console.log(
  JSON.stringify(
    Object.fromEntries(
      errors.map(([name, Made]) => {
        const error = new Made('x');
        return [name, CLASSES.filter((known) => error instanceof core[known])];
      }),
    ),
  ),
);
