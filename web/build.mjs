// Bundles the standalone pages into `dist/web`: index.html, edit.html and content-hashed files in `assets/`.
// Every hashed file may be cached for ever; the two HTML files must be revalidated.
import { readFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, 'src');
const out = resolve(here, '..', process.argv[2] ?? 'dist/web');
const pages = ['index', 'edit', 'self-test', 'operator'];

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

const result = await build({
  absWorkingDir: source,
  entryPoints: [...pages.flatMap((page) => [`${page}.ts`, `styles/${page}.css`]), 'icon.svg'],
  entryNames: '[name]-[hash]',
  chunkNames: 'shared-[hash]',
  assetNames: '[name]-[hash]',
  outdir: join(out, 'assets'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'browser',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16.4'],
  minify: true,
  legalComments: 'none',
  loader: { '.svg': 'copy' },
  define: { 'process.env.NODE_ENV': '"production"' },
  metafile: true,
  logLevel: 'warning',
});

/** Where each source ended up, as an absolute URL path: `index.ts` → `/assets/index-XXXX.js`. */
const urls = new Map();
for (const [file, output] of Object.entries(result.metafile.outputs)) {
  const url = `/assets/${basename(file)}`;
  // Files that are copied have no entry point; their only input names them.
  const entry = output.entryPoint ?? Object.keys(output.inputs)[0];
  if (entry !== undefined && !basename(file).startsWith('shared-')) urls.set(relative('.', entry), url);
}

// One file for pages of others, under the name they know.
await build({
  entryPoints: [join(here, '../adapter/client/browser.ts')],
  outfile: join(out, 'dpd.js'),
  bundle: true,
  format: 'iife',
  platform: 'browser',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16.4'],
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
});

for (const page of pages) {
  const template = await readFile(join(source, `${page}.html`), 'utf8');
  const html = template.replace(/%([-\w./]+)%/g, (_, name) => {
    const url = urls.get(name);
    if (url === undefined) throw new Error(`${page}.html names ${name}, which the build did not make`);
    return url;
  });
  await writeFile(join(out, `${page}.html`), html);
}
