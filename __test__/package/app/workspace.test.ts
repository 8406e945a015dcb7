import { CivicPressError } from '@civicpress/core';
import { RealtimeError } from '@civicpress/realtime';
import { expect, it } from 'vitest';

import { use } from './use.mjs';

it('has one core with the host', () => {
  expect(new RealtimeError('x')).toBeInstanceOf(CivicPressError);
});

it('serves', async () => {
  expect(await use()).toMatchObject({ missing: [], draft: expect.stringContaining('Typed.') });
});
