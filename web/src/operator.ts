import { RealtimeClient } from '../../adapter/client';
import { byId, h } from './dom';
import { pathOf } from './paths';
import { adoptTokenFromUrl, currentToken, forgetToken, parseAnyToken } from './session';
import { askForToken } from './sign-in';

/** Events that took so long at most, and longer than the class before. */
interface Class {
  upToUs: number | null;
  count: number;
}

interface Vitals {
  connections: number;
  eventConnections: number;
  connectionsMax: number;
  users: number;
  rooms: number;
  roomMembers: number;
  documentRooms: number;
  messagesPerSecond: number;
  eventsEmitted: number;
  eventDeliveries: number;
  eventDeliveryTimes: Class[];
  eventsDropped: number;
  eventsRefused: number;
  queuedBytes: number;
  slowConsumers: number;
  storeQueued: number;
  storeDegraded: string | null;
  uptimeSeconds: number;
  broker: { type: string; status: string; circuitBreaker: string; nodes: number };
}

/** Seconds that a line and the histogram show. */
const SHOWN = 60;
const ROWS_MAX = 50;

const lines = new Map<string, number[]>();
const told: Class[][] = [];
let before: Vitals | undefined;
let client: RealtimeClient | undefined;
let token: string | null = null;

adoptTokenFromUrl();
begin(currentToken());

function begin(known: string | null, note: string | null = null): void {
  token = known;
  byId('figures').hidden = known === null;
  if (known === null) askForToken(note, begin, parseAnyToken);
  else connect();
}

function refuse(): void {
  forgetToken();
  begin(null, 'This token is not an admin’s.');
}

function tell(text: string, good: boolean): void {
  const state = byId('state');
  state.textContent = text;
  state.classList.toggle('good', good);
}

function connect(): void {
  client?.close();
  const opened = new RealtimeClient(location.origin, { path: pathOf('events'), token: () => token });
  client = opened;
  opened.lifecycle
    .on('open', () => tell('Live', true))
    .on('close', ({ again }) => tell(again === null ? 'Closed' : 'Cut; it comes back', false));
  opened.room('system:metrics').on('metrics', show);
  opened.join('system:metrics').then(
    () => void look(opened),
    () => {
      if (client !== opened) return;
      opened.close();
      refuse();
    },
  );
}

/** What is asked for, beside what is told. */
async function look(asking: RealtimeClient): Promise<void> {
  for (let round = 0; client === asking; round += 1) {
    const began = performance.now();
    await asking.presence('system:metrics').then(
      () => {
        const took = (performance.now() - began).toFixed(1);
        byId('trip').textContent = `A question of this page takes ${took} ms.`;
      },
      () => {},
    );
    if (round % 5 === 0) await Promise.all([showRooms(), showClients()]).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${token ?? ''}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return (await answer.json()) as T;
}

const whole = new Intl.NumberFormat();

function show(now: Vitals): void {
  const rate = (name: 'eventsEmitted' | 'eventDeliveries'): number =>
    before === undefined ? 0 : Math.max(0, now[name] - before[name]);
  const tiles: [string, number, string][] = [
    [
      'Connections',
      now.connections,
      `${whole.format(now.eventConnections)} for events, ${whole.format(now.connectionsMax)} at most`,
    ],
    ['People', now.users, 'signed in'],
    [
      'Event rooms',
      now.rooms,
      `${whole.format(now.roomMembers)} membership${now.roomMembers === 1 ? '' : 's'}`,
    ],
    ['Open records', now.documentRooms, 'document rooms'],
    ['Messages in', now.messagesPerSecond, 'per second'],
    ['Events', rate('eventsEmitted'), 'per second'],
    ['Deliveries', rate('eventDeliveries'), 'per second'],
    ['Waiting', now.queuedBytes, 'bytes for all clients'],
  ];
  before = now;
  byId('tiles').replaceChildren(
    ...tiles.map(([name, value, note]) =>
      h(
        'li',
        { class: 'tile' },
        h('span', { class: 'tile-name' }, name),
        h('strong', { class: 'tile-value' }, whole.format(value)),
        line(name, value),
        h('span', { class: 'tile-note' }, note),
      ),
    ),
  );
  showTimes(now.eventDeliveryTimes);
  const { broker } = now;
  const parts: [string, string, boolean][] = [
    ['Storage', now.storeDegraded ?? 'well', now.storeDegraded === null],
    ['Waiting for the disk', whole.format(now.storeQueued), true],
    ['Nodes', `${broker.nodes} (${broker.type}), ${broker.status}`, broker.status === 'healthy'],
    ['Circuit breaker', broker.circuitBreaker, broker.circuitBreaker === 'closed'],
    ['Slow readers cut', whole.format(now.slowConsumers), true],
    ['Messages refused', whole.format(now.eventsRefused), true],
    ['Events dropped', whole.format(now.eventsDropped), now.eventsDropped === 0],
  ];
  byId('parts').replaceChildren(
    ...parts.map(([name, value, good]) =>
      h('div', {}, h('dt', {}, name), h('dd', good ? {} : { class: 'bad' }, value)),
    ),
  );
  const minutes = Math.floor(now.uptimeSeconds / 60);
  byId('uptime').textContent =
    minutes < 1 ? 'Up for less than a minute.' : `Up for ${whole.format(minutes)} minutes.`;
}

const SVG = 'http://www.w3.org/2000/svg';

/** The last minute, as a line; it says nothing that the number does not. */
function line(name: string, value: number): SVGElement {
  const values = [...(lines.get(name) ?? []), value].slice(-SHOWN);
  lines.set(name, values);
  const most = Math.max(1, ...values);
  const points = values.map(
    (one, at) => `${(at * 100) / (SHOWN - 1)},${(28 - (one * 26) / most).toFixed(1)}`,
  );
  const svg = document.createElementNS(SVG, 'svg');
  for (const [key, text] of [
    ['viewBox', '0 0 100 30'],
    ['preserveAspectRatio', 'none'],
    ['class', 'line'],
    ['aria-hidden', 'true'],
  ] as const)
    svg.setAttribute(key, text);
  const path = document.createElementNS(SVG, 'polyline');
  path.setAttribute('points', points.join(' '));
  svg.append(path);
  return svg;
}

/** How long the events of the last minute took in the server, as they fall into its classes. */
function showTimes(times: Class[]): void {
  // Another start of the server counts from nothing.
  if (times.some(({ count }, index) => count < (told.at(-1)?.[index]?.count ?? 0))) told.length = 0;
  told.push(times);
  const first = told.length > SHOWN ? told.shift() : told[0];
  const counts = times.map(({ count }, index) => count - (first?.[index]?.count ?? 0));
  const all = counts.reduce((sum, count) => sum + count, 0);
  byId('latency-note').textContent =
    all === 0
      ? 'Nothing was said in the last minute.'
      : `p50 ${endOf(0.5, times, counts)}, p95 ${endOf(0.95, times, counts)}, p99 ${endOf(0.99, times, counts)} ` +
        `of ${whole.format(all)} in the last minute`;
  const most = Math.max(1, ...counts);
  byId('histogram').replaceChildren(
    ...times.map((time, index) => {
      const count = counts[index] ?? 0;
      const fill = h('span', { class: `fill fill-${Math.round((count * 20) / most)}` });
      return h(
        'li',
        {},
        h('span', { class: 'bar-name' }, nameOf(time)),
        h('span', { class: 'bar' }, fill),
        h('span', { class: 'number' }, whole.format(count)),
      );
    }),
  );
}

/** The class within which that share of all events was. */
function endOf(share: number, times: Class[], counts: number[]): string {
  let left = counts.reduce((sum, count) => sum + count, 0) * share;
  const index = counts.findIndex((count) => (left -= count) <= 0);
  return nameOf(times[index] ?? { upToUs: null });
}

function nameOf({ upToUs }: Pick<Class, 'upToUs'>): string {
  return upToUs === null ? 'longer' : `≤ ${upToUs / 1000} ms`;
}

async function showRooms(): Promise<void> {
  const { rooms } = await get<{ rooms: { room: string; members: number }[] }>('/api/v1/realtime/rooms');
  const busiest = rooms.sort((a, b) => b.members - a.members).slice(0, ROWS_MAX);
  byId('rooms').replaceChildren(
    ...busiest.map(({ room, members }) =>
      h('tr', {}, h('td', {}, room), h('td', { class: 'number' }, whole.format(members))),
    ),
  );
}

async function showClients(): Promise<void> {
  const { connections } = await get<{
    connections: {
      clientId: string;
      userId: string | null;
      name: string | null;
      address: string;
      rooms: string[];
      queued: number;
    }[];
  }>('/_dashboard/api/realtime/connections');
  byId('clients').replaceChildren(
    ...connections
      .slice(0, ROWS_MAX)
      .map(({ clientId, userId, name, address, rooms, queued }) =>
        h(
          'tr',
          {},
          h('td', { title: clientId }, userId === null ? 'nobody' : (name ?? userId)),
          h('td', {}, address),
          h('td', {}, rooms.join(', ')),
          h('td', { class: 'number' }, whole.format(queued)),
        ),
      ),
  );
}
