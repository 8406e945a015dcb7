/** Contract 10: what the hook system is told. */

import { expect, it } from 'vitest';

import { until } from '../support.js';
import { startCivic } from './civic.js';

const TIME = expect.any(Number);
const ROOM = { roomId: 'records:a', timestamp: TIME };
const CLIENT = {
  ...ROOM,
  roomType: 'records',
  clientId: expect.stringMatching(/^client_\w+$/),
};

it.each([
  ['realtime:room:created', { ...ROOM, roomType: 'records' }],
  ['realtime:client:connected', CLIENT],
  ['realtime:client:disconnected', CLIENT],
  ['realtime:snapshot:saved', { ...ROOM, version: TIME }],
  ['realtime:room:destroyed', ROOM],
])('%s, with %o', async (name, data) => {
  const civic = await startCivic({ config: { rooms: { grace_period_ms: 0 } } });
  civic.publish({ id: 'a', content: 'First.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Second.'));
  ada.leave();
  await until(() => civic.hooks.named(name).length > 0);

  const hook = civic.hooks.told.find((told) => told.name === name)!;
  expect(hook.data).toMatchObject({ ...data, correlationId: expect.any(String) });
  expect(hook.context).toMatchObject({
    timestamp: new Date(hook.data.timestamp),
    metadata: { event: name, correlationId: hook.data.correlationId },
  });
});

it('a hook bus that fails, at once or later, stops nothing', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  let calls = 0;
  civic.hooks.emit = (): Promise<void> => {
    calls += 1;
    if (calls % 2 === 0) throw new Error('at once');
    return Promise.reject(new Error('later'));
  };
  const ada = civic.edit('a');
  await ada.synced;
  await until(() => calls > 1);
  expect(civic.server.getHealthStatus().status).toBe('healthy');
});

it('emitHook tells the hook system, fire and forget', async () => {
  const civic = await startCivic();
  civic.server.emitHook('device:heard', { deviceId: '7' });
  await until(() => civic.hooks.named('device:heard').length === 1);
  expect(civic.hooks.named('device:heard')[0]).toMatchObject({ deviceId: '7' });
});
