/** Work that comes in bursts passes the default rate limits: pastes, formats, undo and redo, offline edits. */

import { schema } from 'prosemirror-schema-basic';
import { AllSelection, EditorState, type Transaction } from 'prosemirror-state';
import { toggleMark } from 'prosemirror-commands';
import { updateYFragment, yXmlFragmentToProseMirrorRootNode } from 'y-prosemirror';
import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { until } from '../support.js';
import { LATEST, openServer, peer, synced } from './support.js';

/** As an operator gets it who configures nothing. */
const UNCONFIGURED = { rate_limiting: {} };

/** ProseMirror without a screen: what its binding writes into the document, and the cursor it tells about. */
function editor(port: number, token: string) {
  const client = peer(LATEST, port, { token, room: 'notes/honest' });
  const fragment = client.doc.getXmlFragment('default');
  const meta = { mapping: new Map(), isOMark: new Map() };
  const history = new Y.UndoManager(fragment, { captureTimeout: 0 });
  let state = EditorState.create({ schema });
  return {
    ...client,
    fragment,
    history,
    edit(change: (state: EditorState, dispatch: (transaction: Transaction) => void) => unknown): void {
      change(state, (transaction) => (state = state.apply(transaction)));
      client.doc.transact(() => updateYFragment(client.doc, fragment, state.doc, meta));
      this.moveCursor();
    },
    moveCursor(): void {
      const at = Y.createRelativePositionFromTypeIndex(fragment, fragment.length);
      client.provider.awareness.setLocalStateField('cursor', { anchor: at, head: at, at: Math.random() });
    },
    shown: () => yXmlFragmentToProseMirrorRootNode(fragment, schema).toJSON() as unknown,
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function expectUndisturbed(port: number): Promise<void> {
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).not.toContain('throttled_total{');
  expect(metrics).toContain('rate_notices_total 0');
}

it('a paste, a format of a megabyte, and undo and redo thirty times a second', async () => {
  const { port } = await openServer(UNCONFIGURED);
  const [ada, bo] = [editor(port, 'editor.ada'), editor(port, 'editor.bo')];
  await synced(ada, bo);
  const known = ({ doc }: typeof ada): string => String(Y.encodeStateVector(doc));
  const same = (): Promise<void> => until(() => known(ada) === known(bo));

  ada.edit((state, dispatch) => dispatch(state.tr.insertText('pasted '.repeat(1500))));
  await same();
  const page = schema.node('paragraph', null, [schema.text('a line of a long document. '.repeat(20))]);
  ada.edit((state, dispatch) =>
    dispatch(
      state.tr.insert(
        state.doc.content.size,
        Array.from({ length: 2000 }, () => page),
      ),
    ),
  );
  await same();
  ada.edit((state, dispatch) => dispatch(state.tr.setSelection(new AllSelection(state.doc))));
  ada.edit(toggleMark(schema.marks.strong));
  await same();

  ada.edit((state, dispatch) => dispatch(state.tr.insertText('on second thoughts ', 1)));
  const before = JSON.stringify(ada.shown());
  for (let turn = 0; turn < 20 * 30; turn += 1) {
    if (turn % 2 === 0) ada.history.undo();
    else ada.history.redo();
    ada.moveCursor();
    await pause(1000 / 30);
  }
  await same();
  expect(JSON.stringify(ada.shown())).toBe(before);
  expect(JSON.stringify(bo.shown())).toBe(before);
  expect([ada.traffic.opened, bo.traffic.opened]).toEqual([1, 1]);
  await expectUndisturbed(port);
}, 180_000);

it('an hour of typing without a connection comes in one piece', async () => {
  const { port } = await openServer(UNCONFIGURED);
  const [ada, bo] = [peer(LATEST, port), peer(LATEST, port, { token: 'editor.bo' })];
  await synced(ada, bo);
  ada.provider.disconnect();
  for (let key = 0; key < 20_000; key += 1) ada.text.insert(key, 'k');
  ada.provider.connect();
  await until(() => bo.text.length === 20_000);
  await expectUndisturbed(port);
});
