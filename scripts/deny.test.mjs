import assert from 'node:assert/strict';
import { test } from 'node:test';

import { faultsOf, isAllowed } from './deny.mjs';

const ALLOWED = ['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception'];
const RULES = '[licenses]\nallow = ["MIT"]\n\n[bans]\nmultiple-versions = "warn"\ndeny = ["left-pad"]\n';

for (const [expression, expected] of [
  ['MIT', true],
  ['GPL-3.0', false],
  ['MIT OR GPL-3.0', true],
  ['MIT AND GPL-3.0', false],
  ['GPL-3.0 AND X OR MIT', true],
  ['(MIT OR X) AND Apache-2.0', true],
  ['MIT AND (X OR Y)', false],
  ['MIT/X', true],
  ['Apache-2.0 WITH LLVM-exception', true],
  ['MIT WITH Something', false],
  ['MIT)', false],
]) {
  test(`licence ${expression}`, () => assert.equal(isAllowed(expression, ALLOWED), expected));
}

const registry = 'registry+https://github.com/rust-lang/crates.io-index';
for (const [crate, fault] of [
  [{ name: 'a', version: '1.0.0', license: 'MIT', source: registry }, undefined],
  [{ name: 'a', version: '1.0.0', license: 'GPL-3.0', source: registry }, /licence GPL-3.0/],
  [{ name: 'a', version: '1.0.0', license: null, source: registry }, /licence unknown/],
  [{ name: 'a', version: '1.0.0', license: 'MIT', source: 'git+https://example.org/a' }, /comes from/],
  [{ name: 'left-pad', version: '1.0.0', license: 'MIT', source: registry }, /banned/],
  [{ name: 'tungstenite', version: '0.29.9', license: 'MIT', source: registry }, /below 0.30.0/],
  [{ name: 'tungstenite', version: '0.30.0', license: 'MIT', source: registry }, undefined],
  [{ name: 'bytes', version: '1.9.0', license: 'MIT', source: registry }, /RUSTSEC-2026-0007/],
  [{ name: 'hashbrown', version: '0.15.0', license: 'MIT', source: registry }, /RUSTSEC-2024-0402/],
  [{ name: 'hashbrown', version: '0.15.1', license: 'MIT', source: registry }, undefined],
]) {
  test(`${crate.name} ${crate.version} ${crate.license}: ${fault ?? 'sound'}`, () => {
    const faults = faultsOf([crate], RULES);
    assert.equal(faults.length, fault ? 1 : 0);
    if (fault) assert.match(faults[0], fault);
  });
}
