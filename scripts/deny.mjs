/**
 * What deny.toml asks of the crates in Cargo.lock, without cargo-deny, which takes minutes to build: licences,
 * sources, banned crates. `cargo deny check` says the same to those who have it. Beside it: minimum versions, below
 * which crates have known defects.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { inRoot, main, say, StepFailed } from './steps.mjs';

const REGISTRY = 'registry+https://github.com/rust-lang/crates.io-index';

/** Advisories that concern what we use or may come to use: the first good version, by major where several live. */
const FIRST_SOUND = {
  tungstenite: ['0.30.0', 'RUSTSEC-2023-0065, and the guards added since'],
  jsonwebtoken: ['10.3.0', 'CVE-2026-25537: a wrongly typed exp counts as absent'],
  bytes: ['1.11.1', 'RUSTSEC-2026-0007'],
  'event-listener': ['5.4.2', 'RUSTSEC-2026-0221'],
  tokio: ['1.44.2', 'RUSTSEC-2025-0023'],
  dashmap: ['5.1.0', 'RUSTSEC-2022-0002'],
  time: ['0.3.47', 'RUSTSEC-2026-0009'],
  'async-nats': ['0.29.0', 'RUSTSEC-2023-0027'],
  rusqlite: ['0.26.2', 'RUSTSEC-2021-0128'],
  'libsqlite3-sys': ['0.25.1', 'RUSTSEC-2022-0090'],
};
/** Single bad versions. */
const UNSOUND = { hashbrown: { '0.15.0': 'RUSTSEC-2024-0402' } };

/** The lists of deny.toml this needs; TOML's syntax for lists of strings is JSON's. */
function listOf(text, section, key) {
  const body = new RegExp(`^\\[${section}\\]\\n((?:(?!^\\[).*\\n?)*)`, 'm').exec(text)?.[1] ?? '';
  const list = new RegExp(`^${key} = (\\[[^\\]]*\\])`, 'm').exec(body)?.[1];
  return list === undefined ? [] : JSON.parse(list.replace(/,\s*\]/, ']'));
}

/** Whether an SPDX expression is satisfied by the allowed licences: `AND` binds closer than `OR`. */
export function isAllowed(expression, allowed) {
  const tokens = expression.replace(/\//g, ' OR ').match(/\(|\)|[^\s()]+/g) ?? [];
  let at = 0;
  const primary = () => {
    if (tokens[at] === '(') {
      at += 1;
      const inner = or();
      at += 1;
      return inner;
    }
    let licence = tokens[at++];
    if (tokens[at] === 'WITH') licence = `${licence} WITH ${tokens[(at += 2) - 1]}`;
    return allowed.includes(licence);
  };
  const and = () => {
    let holds = primary();
    while (tokens[at] === 'AND') {
      at += 1;
      holds = primary() && holds;
    }
    return holds;
  };
  function or() {
    let holds = and();
    while (tokens[at] === 'OR') {
      at += 1;
      holds = and() || holds;
    }
    return holds;
  }
  return or() && at === tokens.length;
}

function isBelow(version, minimum) {
  const [a, b] = [version, minimum].map((text) => text.split(/[-+]/)[0].split('.').map(Number));
  const differs = a.findIndex((part, index) => part !== b[index]);
  return differs >= 0 && a[differs] < b[differs];
}

function packages() {
  const args = ['metadata', '--format-version', '1', '--locked', '--all-features'];
  const { status, stdout, stderr } = spawnSync('cargo', args, {
    cwd: inRoot(),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new StepFailed(`cargo metadata failed: ${stderr}`);
  return JSON.parse(stdout).packages;
}

/** What is wrong with these packages of `cargo metadata`, by the rules of deny.toml and the table above. */
export function faultsOf(all, rules) {
  const allowed = listOf(rules, 'licenses', 'allow');
  const banned = listOf(rules, 'bans', 'deny');
  const faults = [];
  for (const { name, version, license, source } of all) {
    const crate = `${name} ${version}`;
    if (!license || !isAllowed(license, allowed)) faults.push(`${crate}: licence ${license ?? 'unknown'}`);
    if (source !== null && source !== REGISTRY) faults.push(`${crate}: comes from ${source}`);
    if (banned.includes(name)) faults.push(`${crate}: banned`);
    const [minimum, why] = FIRST_SOUND[name] ?? [];
    if (minimum && isBelow(version, minimum)) faults.push(`${crate}: below ${minimum} (${why})`);
    const unsound = UNSOUND[name]?.[version];
    if (unsound) faults.push(`${crate}: ${unsound}`);
  }
  return faults;
}

export function deny() {
  const all = packages();
  const faults = faultsOf(all, readFileSync(inRoot('deny.toml'), 'utf8'));
  if (faults.length > 0) throw new StepFailed(`CRATES NOT ALLOWED:\n  ${faults.join('\n  ')}`);
  say(`${all.length} crates: licences, sources and versions are as they should be`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(deny);
