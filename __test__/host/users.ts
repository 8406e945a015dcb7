/** Users, their sessions and what their roles allow. */

import { randomBytes } from 'node:crypto';

import type { HookSystem } from './hooks.js';

export interface AuthUser {
  id: number | string;
  username: string;
  role: string;
}

const ROLES: Record<string, string[]> = {
  admin: ['records:view', 'records:edit'],
  clerk: ['records:view', 'records:edit'],
  public: ['records:view'],
  reviewer: ['records:view', 'records:view_unpublished'],
  nobody: [],
};

export class AuthService {
  readonly #sessions = new Map<string, AuthUser>();
  readonly #hooks: HookSystem;
  readonly #calls: string[];

  constructor(hooks: HookSystem, calls: string[]) {
    this.#hooks = hooks;
    this.#calls = calls;
  }

  /** A session of 129 characters, as CivicPress makes them. */
  createSession(user: AuthUser): string {
    const token = `${randomBytes(32).toString('hex')}.${randomBytes(32).toString('hex')}`;
    this.#sessions.set(token, user);
    return token;
  }

  async validateSession(token: string): Promise<AuthUser | null> {
    this.#calls.push('validateSession');
    return this.#sessions.get(token) ?? null;
  }

  async userCan(user: AuthUser, permission: string, about?: { recordType?: string }): Promise<boolean> {
    this.#calls.push(`userCan ${user.username} ${permission} ${about?.recordType ?? '-'}`);
    return ROLES[user.role]?.includes(permission) ?? false;
  }

  async deleteUserSessions(id: number | string, reason = 'sessions-revoked'): Promise<void> {
    for (const [token, user] of this.#sessions) if (user.id === id) this.#sessions.delete(token);
    await this.#hooks.emit('auth:sessions:revoked', { userId: id, reason });
  }
}
