/** A small disk of its own, to make it full. Needs the right to mount one. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export class Disk {
  readonly #filler: string;

  constructor(
    private readonly folder: string,
    size: string,
  ) {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
    this.#filler = join(folder, 'filler');
  }

  /** Writes until nothing fits any more. */
  fill(): void {
    const file = openSync(this.#filler, 'w');
    try {
      for (const bytes of [1 << 20, 1 << 12, 1]) fillWith(file, Buffer.alloc(bytes, 7));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#filler);
  }

  remove(): void {
    execFileSync('umount', ['--lazy', this.folder]);
  }
}

function fillWith(file: number, chunk: Buffer): void {
  try {
    while (writeSync(file, chunk) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
