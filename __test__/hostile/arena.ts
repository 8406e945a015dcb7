/** A real server, two honest people in its busiest room, and room for those who are not. */

import { readFileSync } from 'node:fs';

import * as syncProtocol from 'y-protocols/sync';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

import { jwt, LATEST, peer, synced, syncFrame, type Peer } from '../clients/support.js';
import { Server, SECRET, TOKEN } from '../chaos/server.js';
import { temporaryFolder } from '../support.js';
import { frame, upgrade, Wire, type Answer } from './wire.js';

export const ROOM = 'notes/arena';
const PATIENCE_MS = 15_000;

export interface Case {
  id: string;
  what: string;
  run(arena: Arena): Promise<Answer>;
  /** The right answers. */
  answer: RegExp;
}

export interface Entrance {
  room?: string;
  token?: string | null;
  headers?: Record<string, string | null>;
}

export class Arena {
  readonly server = new Server(temporaryFolder(), { durability: 'process', limits: 'default' });
  #honest: Peer[] = [];
  #round = 0;
  #wires: Wire[] = [];

  async open(): Promise<void> {
    await this.server.start();
    this.#honest = ['ada', 'bo'].map((name) =>
      peer(LATEST, this.port, { room: ROOM, token: this.token({ sub: name, name }) }),
    );
    await synced(...this.#honest);
  }

  get port(): number {
    return this.server.port;
  }

  /** A token of an editor but for what `claims` say. */
  token(claims: Record<string, unknown> = {}, secret = SECRET): string {
    return jwt(secret, { sub: 'mallory', name: 'Mallory', role: 'editor', ...claims });
  }

  /** `from` is an address of this machine. */
  wire(from?: string): Wire {
    const wire = new Wire(this.port, from);
    this.#wires.push(wire);
    return wire;
  }

  /** A connection that said hello over TCP with this request. */
  request(bytes: Uint8Array | string): Wire {
    const wire = this.wire();
    wire.write(bytes);
    return wire;
  }

  /** Asks for a WebSocket; judged by `status()` or `closed()`. */
  knock({ room = ROOM, token = TOKEN, headers = {} }: Entrance = {}): Wire {
    const authorization: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
    return this.request(upgrade(`/realtime/${room}`, { ...authorization, ...headers }));
  }

  /** A connection after its 101, and in the room: it has been sent what is there. */
  async enter(entrance: Entrance = {}): Promise<Wire> {
    const wire = this.knock(entrance);
    await wire.upgraded();
    await this.settled(wire);
    return wire;
  }

  /** `open` once the room did all that was sent before. */
  async settled(wire: Wire): Promise<Answer> {
    const question = frame(2, syncFrame('step1', Uint8Array.of(0)));
    return await wire.answered(question, (payload) => payload[0] === 0 && payload[1] === 1);
  }

  /** Sends messages from within the room; `open`, or how it ended. */
  async send(messages: Uint8Array[], entrance: Entrance = {}): Promise<Answer> {
    const wire = await this.enter(entrance);
    for (const message of messages) wire.write(frame(2, message));
    return await this.settled(wire);
  }

  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.server.process.process.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Whether anybody honest can see this word. */
  isSeen(word: string): boolean {
    return this.#honest.some(({ doc, provider }) => {
      const states = JSON.stringify([...provider.awareness.getStates().values()]);
      return states.includes(word) || Buffer.from(Y.encodeStateAsUpdate(doc)).includes(word);
    });
  }

  get honestIds(): number[] {
    return this.#honest.map(({ doc }) => doc.clientID);
  }

  /** The clock of what this one writes next. */
  honestClock(index: number): number {
    const { doc } = this.#honest[index]!;
    return Y.decodeStateVector(Y.encodeStateVector(doc)).get(doc.clientID) ?? 0;
  }

  honestAwareness(index: number): unknown {
    return this.#honest[1 - index]!.provider.awareness.getStates().get(this.honestIds[index]!);
  }

  /** What is wrong after a case. */
  async faults(): Promise<string[]> {
    for (const wire of this.#wires.splice(0)) wire.destroy();
    return await this.faultsBeside();
  }

  /** What is wrong with the two who are honest, or with somebody who comes now. */
  async faultsBeside(): Promise<string[]> {
    const [ada, bo] = this.#honest as [Peer, Peer];
    const key = `round ${(this.#round += 1)}`;
    ada.doc.getMap('marks').set(`${key} of ada`, true);
    bo.doc.getMap('marks').set(`${key} of bo`, true);
    const late = peer(LATEST, this.port, { room: ROOM, token: TOKEN });
    const has = ({ doc }: Peer): boolean =>
      ['ada', 'bo'].every((name) => doc.getMap('marks').has(`${key} of ${name}`));
    const everybody = [ada, bo, late];
    const deadline = performance.now() + PATIENCE_MS;
    while (!everybody.every(has) && performance.now() < deadline && !this.hasDied) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const found: string[] = [];
    if (this.hasDied) found.push('the server died');
    everybody.forEach((one, index) => {
      if (!has(one)) found.push(`${['ada', 'bo', 'a newcomer'][index]} does not converge`);
    });
    for (const { traffic } of [ada, bo]) {
      for (const { code, reason } of traffic.closes.splice(0)) found.push(`honest: closed ${code} ${reason}`);
      traffic.binary.length = 0;
      traffic.sent.length = 0;
    }
    late.provider.destroy();
    return found;
  }

  get hasDied(): boolean {
    const { exitCode, signalCode } = this.server.process.process;
    return exitCode !== null || signalCode !== null;
  }
}

/** An update of an honest document, and the document. */
export function honestUpdate(edit: (doc: Y.Doc) => void, clientId?: number): Uint8Array {
  const doc = new Y.Doc();
  if (clientId !== undefined) doc.clientID = clientId;
  edit(doc);
  return Y.encodeStateAsUpdate(doc);
}

export function updateMessage(update: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  syncProtocol.writeUpdate(encoder, update);
  return encoding.toUint8Array(encoder);
}

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** A varUint of lib0. */
export function varUint(number: number): number[] {
  const bytes: number[] = [];
  let rest = number;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}
