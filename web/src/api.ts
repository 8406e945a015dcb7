/** One line of the record list. */
export interface RecordSummary {
  id: string;
  title: string;
  status: string;
  type: string;
  modifiedAtMs: number;
}

/** Whom the token stands for. */
export interface Me {
  userId: string;
  name: string;
  role: string;
  expiresAtMs: number;
}

/** An answer that is not 2xx, or none at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  /** The token is missing, over or refused: only signing in again helps. */
  get needsSignIn(): boolean {
    return this.status === 401;
  }
}

const TIMEOUT_MS = 15_000;

/** The HTTP API as one user sees it. */
export class Api {
  constructor(readonly token: string) {}

  async me(): Promise<Me> {
    const body = (await this.json('/api/v1/me')) as Partial<Me>;
    return {
      userId: String(body.userId ?? ''),
      name: String(body.name ?? body.userId ?? 'Someone'),
      role: String(body.role ?? ''),
      expiresAtMs: Number(body.expiresAtMs ?? 0),
    };
  }

  async records(): Promise<RecordSummary[]> {
    const body = (await this.json('/api/v1/records')) as { records?: Partial<RecordSummary>[] };
    return (body.records ?? []).map((record) => ({
      id: String(record.id ?? ''),
      title: String(record.title || record.id || 'Untitled'),
      status: String(record.status ?? ''),
      type: String(record.type ?? ''),
      modifiedAtMs: Number(record.modifiedAtMs ?? 0),
    }));
  }

  async markdown(recordId: string, signal: AbortSignal): Promise<string> {
    const response = await this.get(`/api/v1/records/${encodeURIComponent(recordId)}/markdown`, signal);
    return response.text();
  }

  private async json(path: string): Promise<unknown> {
    const response = await this.get(path, AbortSignal.timeout(TIMEOUT_MS));
    try {
      return await response.json();
    } catch {
      throw new ApiError(response.status, 'BAD_ANSWER', 'The server’s answer could not be read.');
    }
  }

  private async get(path: string, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(path, {
        headers: { Authorization: `Bearer ${this.token}` },
        cache: 'no-store',
        signal,
      });
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      throw new ApiError(0, 'UNREACHABLE', 'The server cannot be reached.');
    }
    if (!response.ok) throw await failure(response);
    return response;
  }
}

async function failure(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as { error?: { code?: string; message?: string } };
    return new ApiError(response.status, error?.code ?? 'HTTP_ERROR', error?.message ?? response.statusText);
  } catch {
    return new ApiError(response.status, 'HTTP_ERROR', response.statusText);
  }
}

/** What a failed request means to the person in front of the page. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Something went wrong on this page.';
  switch (error.status) {
    case 0:
      return 'The server cannot be reached. Check your connection, then try again.';
    case 401:
      return 'Your session has ended. Please sign in again.';
    case 403:
      return 'You do not have permission to see this.';
    case 404:
      return 'This could not be found.';
    case 503:
      return 'The server is busy or restarting. Try again in a moment.';
    default:
      return error.message || 'The server could not answer.';
  }
}
