/** CommonJS: what `require` says, and that `import()` works. */

let refused;
try {
  require('@civicpress/realtime');
} catch (error) {
  refused = `${error.code}: ${error.message}`;
}
void import('@civicpress/realtime').then(({ RealtimeServer }) =>
  console.log(JSON.stringify({ refused, imported: typeof RealtimeServer })),
);
