/** A JSON message of the server beside the sync protocol. */
export interface ControlMessage {
  type?: string;
  event?: string;
  updates?: number;
  canEdit?: boolean;
  reason?: string;
  message?: string;
  error?: { code?: string; message?: string };
}

/** What a [`CountingSocket`] tells. Counts belong to one connection and start at zero with `opened`. */
export interface SocketListener {
  opened(): void;
  /** A sync step 2 or update was handed to the socket. */
  sent(kind: 'step2' | 'update'): void;
  control(message: ControlMessage): void;
}

const SYNC = 0;
const STEP2 = 1;
const UPDATE = 2;
const BRACE = 0x7b;

/**
 * A WebSocket class for the stock provider that counts the sync messages sent and keeps the server's JSON
 * messages away from the provider, whose decoder knows only its own binary messages.
 */
export function countingSocket(listener: SocketListener): typeof WebSocket {
  return class CountingSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      super.addEventListener('open', () => listener.opened());
      // The provider assigns `onmessage`, so the filter sits there; an accessor of this object, because
      // TypeScript forbids a class to turn the inherited property into one.
      let assigned: ((this: WebSocket, event: MessageEvent) => unknown) | null = null;
      const filter = (event: MessageEvent): void => {
        const message = controlMessage(event.data);
        if (message === null) assigned?.call(this, event);
        else listener.control(message);
      };
      super.addEventListener('message', filter);
      Object.defineProperty(this, 'onmessage', {
        get: () => assigned,
        set: (handler: typeof assigned) => {
          assigned = handler;
        },
      });
    }

    override send(data: Parameters<WebSocket['send']>[0]): void {
      super.send(data);
      if (!(data instanceof Uint8Array) || data[0] !== SYNC) return;
      if (data[1] === STEP2) listener.sent('step2');
      else if (data[1] === UPDATE) listener.sent('update');
    }
  };
}

/** The message if this frame is JSON (text, or binary starting with `{`); `null` if it is for the provider. */
function controlMessage(data: unknown): ControlMessage | null {
  let text: string;
  if (typeof data === 'string') text = data;
  else if (data instanceof ArrayBuffer && new Uint8Array(data)[0] === BRACE)
    text = new TextDecoder().decode(data);
  else return null;
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === 'object' && message !== null ? (message as ControlMessage) : {};
  } catch {
    return {};
  }
}
