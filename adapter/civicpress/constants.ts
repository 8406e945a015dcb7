/** Values of the host's protocol and hooks. */

/** The host's hook that a user's sessions are over. */
export const SESSION_REVOKED_HOOK = 'auth:sessions:revoked';

export enum MessageType {
  SYNC = 'sync',
  PRESENCE = 'presence',
  CONTROL = 'control',
  PING = 'ping',
  PONG = 'pong',
}

export enum PresenceEvent {
  JOINED = 'joined',
  LEFT = 'left',
  CURSOR = 'cursor',
  AWARENESS = 'awareness',
}

export enum ControlEvent {
  ROOM_STATE = 'room_state',
  ERROR = 'error',
  NOTICE = 'notice',
}
