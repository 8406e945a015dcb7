/** Text for people: results on stdout, everything else on stderr. */

/** The arguments were not understood (exit code 2). */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly command?: string,
  ) {
    super(message);
  }
}

/** The command ran and failed (exit code 1). */
export class CommandFailed extends Error {
  readonly lines: string[];

  constructor(...lines: string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/** Tells a command's failure and sets the exit code. */
export function report(error: unknown, helpOf: (command?: string) => string): void {
  process.exitCode = error instanceof UsageError ? 2 : 1;
  if (error instanceof UsageError) {
    fail(error.message);
    fail(`\n${helpOf(error.command)}`);
  } else if (error instanceof CommandFailed) {
    for (const line of error.lines) fail(line);
  } else {
    const { code, message } = (error ?? {}) as { code?: string; message?: string };
    fail(`${code === undefined ? '' : `${code}: `}${message ?? String(error)}`);
  }
}

export function out(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function fail(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What others said, without what a terminal obeys: the controls below U+0020 and from U+007F to U+009F. */
export function harmless(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (control) => {
    return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

type Style = 'bold' | 'dim' | 'yellow' | 'red';
const CODES: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  yellow: [33, 39],
  red: [31, 39],
};

/** `text` in a style, where a person looks at a terminal that shows it (https://no-color.org). */
export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  if (!stream.isTTY || process.env['NO_COLOR'] || process.env['TERM'] === 'dumb') return text;
  const [on, off] = CODES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}
