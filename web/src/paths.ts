/** Where this engine takes connections (`path` and `events.path`), as it writes into the pages it serves. */
export function pathOf(kind: 'documents' | 'events'): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${kind}-path"]`)?.content ?? '';
}
