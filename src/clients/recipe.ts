/** What one client needs, before it is known by what name it was asked for. */
import type { ClientConfig } from './client-config.ts'

export type Recipe = Pick<ClientConfig, 'title' | 'files' | 'commands' | 'notes'>
