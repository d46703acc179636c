/** What of the machine is used to serve. */
import type { Config } from './schema.ts'
import type { Section } from './section.ts'
import type { FileShape } from './shape.ts'
import { parseSize } from './units.ts'

type ServiceConfig = Pick<Config, 'memory' | 'workers' | 'sendfile'>

/** Thousands of manifests, or a hundred small layers. */
export const DEFAULT_MEMORY = 64 * 2 ** 20

export function readService(file: Section<FileShape>): ServiceConfig {
  return {
    memory: file.read('memory', parseSize) ?? DEFAULT_MEMORY,
    workers: file.shape.workers ?? 1,
    sendfile: file.shape.sendfile ?? true,
  }
}
