/** `emit`, `tail` and `stress`: rooms of events of a running server, from a shell. */

import { parseArgs } from 'node:util';

import { RealtimeClient } from '../client/index.js';
import { CommandFailed, harmless, out, UsageError } from './output.js';
import { NodeSocket } from './socket.js';

const SERVER = {
  url: { type: 'string', default: 'http://127.0.0.1:3001' },
  token: { type: 'string' },
} as const;

/** A token on the command line stands in other people's lists of processes. */
function tokenOf(given: string | undefined): string | undefined {
  return given ?? process.env['CIVIC_REALTIME_ADMIN__TOKEN'];
}

async function post(
  { url, token }: { url: string; token?: string | undefined },
  path: string,
  body: object,
): Promise<Record<string, any>> {
  const shown = tokenOf(token);
  let answer: Response;
  try {
    answer = await fetch(new URL(path, url), {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(shown === undefined ? {} : { Authorization: `Bearer ${shown}` }),
      },
      body: JSON.stringify(body),
    });
  } catch (error) {
    const { cause } = error as { cause?: { message?: string } };
    throw new CommandFailed(`${url} does not answer: ${cause?.message ?? String(error)}`);
  }
  const said = (await answer.json().catch(() => ({}))) as Record<string, any>;
  if (answer.ok) return said;
  const { code = answer.status, message = 'refused' } = said['error'] ?? {};
  throw new CommandFailed(harmless(`${code}: ${message}`));
}

export async function emit(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...SERVER, room: { type: 'string' }, data: { type: 'string' } },
  });
  const [event, ...more] = positionals;
  if (event === undefined || more.length > 0) throw new UsageError('emit needs one EVENT', 'emit');
  let data: unknown;
  try {
    data = values.data === undefined ? undefined : JSON.parse(values.data);
  } catch {
    throw new UsageError('--data is no JSON', 'emit');
  }
  await post(values, '/api/v1/realtime/emit', { event, room: values.room, data });
}

export async function tail(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: SERVER });
  if (positionals.length === 0) throw new UsageError('tail needs a ROOM', 'tail');
  const client = new RealtimeClient(values.url, { token: values.token, WebSocket: NodeSocket });
  const rooms = new Set(positionals);
  const failed = await new Promise<Error | undefined>((done) => {
    const stop = (): void => done(undefined);
    process.once('SIGINT', stop).once('SIGTERM', stop);
    for (const room of rooms) {
      const join = client.join(room);
      join.catch((error: Error) => done(new CommandFailed(harmless(`${room}: ${error.message}`))));
    }
    client.lifecycle.on('close', ({ reason, code, again }) => {
      if (again === null) done(new CommandFailed(harmless(reason) || `the connection was closed (${code})`));
    });
    client.lifecycle.on('left', ({ room }) =>
      done(new CommandFailed(harmless(`${room}: no more for this token`))),
    );
    client.heard((message) => out(harmless(JSON.stringify(message))));
  });
  client.close();
  if (failed) throw failed;
}

export async function stress(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      ...SERVER,
      connections: { type: 'string', default: '100' },
      rate: { type: 'string', default: '10' },
      duration: { type: 'string', default: '30' },
      payload: { type: 'string', default: '64' },
    },
  });
  const number = (name: 'connections' | 'rate' | 'duration' | 'payload'): number => {
    const value = Number(values[name]);
    if (!Number.isFinite(value)) throw new UsageError(`--${name} '${values[name]}' is no number`, 'stress');
    return value;
  };
  const plan = {
    connections: number('connections'),
    messagesPerSecond: number('rate'),
    duration: number('duration'),
    payloadBytes: number('payload'),
  };
  const { connections, messages, roundTripMs, errors } = await post(
    values,
    '/_admin/test/websocket/stress',
    plan,
  );
  const tell = (line: string): void => out(harmless(line));
  tell(`connections   ${connections.opened} of ${connections.requested}`);
  tell(
    `messages      ${messages.sent} said, ${messages.deliveries} of ${messages.expectedDeliveries} deliveries`,
  );
  tell(`throughput    ${messages.deliveriesPerSecond} deliveries per second`);
  tell(`round trips   p50 ${roundTripMs.p50} ms, p95 ${roundTripMs.p95} ms, p99 ${roundTripMs.p99} ms`);
  for (const error of errors as string[]) tell(`error         ${error}`);
  if (messages.deliveryRatio !== 1 || errors.length > 0) throw new CommandFailed('not all of it arrived');
}
