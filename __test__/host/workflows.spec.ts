/** The examples of docs/hooks.md: a hook of the engine runs the workflows that CivicPress's hooks.yml names. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { load } from 'js-yaml';
import ts from 'typescript';
import { expect, it } from 'vitest';

import type { CivicHookSystem } from '../../index.js';
import { ROOT, until } from '../support.js';
import { startCivic } from './civic.js';

const DOCUMENT = readFileSync(join(ROOT, 'docs', 'hooks.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...DOCUMENT.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code!);

type Run = (
  hooks: CivicHookSystem,
  file: unknown,
  workflows: Record<string, (data: any, hook: string) => unknown>,
) => void;

/** The sample that runs workflows, as it stands in the document. */
const { runWorkflows } = (await import(
  `data:text/javascript,${encodeURIComponent(
    ts.transpileModule(blocks('ts')[0]!, { compilerOptions: { module: ts.ModuleKind.ESNext } }).outputText,
  )}`
)) as { runWorkflows: Run };
const [announcing, paging] = blocks('yaml').map((code) => load(code));

it('realtime:snapshot:saved runs the workflow that its configuration names', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  const drafts: Promise<string | null>[] = [];
  runWorkflows(civic.hooks, announcing, {
    'announce-draft': ({ roomId }) => drafts.push(civic.draft(roomId.replace('records:', ''))),
    'page-operator': () => expect.fail('nothing is wrong'),
  });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Second.'));
  await civic.server.triggerRecordSnapshot('a');
  await until(() => drafts.length > 0);
  // By then the draft holds what people wrote together.
  expect(await drafts[0]).toBe('First.\n\nSecond.');
});

it('a record that cannot be written back pages the operator', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  const pages: { stage: string; hook: string }[] = [];
  runWorkflows(civic.hooks, paging, {
    'page-operator': ({ stage }, hook) => pages.push({ stage, hook }),
  });
  civic.database.createDraft = () => Promise.reject(new Error('the database is away'));
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(() => civic.server.getHealthStatus().counts.messages > 1);
  await civic.server.triggerRecordSnapshot('a').catch(() => undefined);
  await until(() => pages.length > 0);
  expect(pages[0]).toEqual({ stage: 'draft', hook: 'realtime:snapshot:writeback-failed' });
});
