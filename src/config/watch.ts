import { type Stats, unwatchFile, watchFile } from 'node:fs'

interface WatchOptions {
  /** Milliseconds between two looks at the file. */
  readonly intervalMs?: number
}

/**
 * Tells when the file has changed; reading it again is up to the caller. A file that is gone is not
 * told, because editors that rename leave a moment without one.
 *
 * The file is polled by name, through symbolic links. A watch on the file itself follows the inode,
 * and so loses it to the first editor that writes a new file and renames it; a Kubernetes ConfigMap
 * is a link to a link that is swapped; and network filesystems send no events at all.
 */
export function watchConfig(
  file: string,
  onChange: () => void,
  { intervalMs = 1000 }: WatchOptions = {},
): { close(): void } {
  function tellUnlessGone(current: Stats): void {
    if (current.nlink > 0) onChange()
  }
  watchFile(file, { interval: intervalMs, persistent: false }, tellUnlessGone)
  return { close: () => unwatchFile(file, tellUnlessGone) }
}

/** Files of which others come to count while they are watched. */
interface WatchedFiles {
  /** From now on these, whichever they were before. */
  follow(files: readonly string[]): void
  close(): void
}

export function watchFiles(onChange: () => void, options: WatchOptions = {}): WatchedFiles {
  const watchers = new Map<string, { close(): void }>()
  function follow(files: readonly string[]): void {
    for (const [file, watcher] of watchers) {
      if (files.includes(file)) continue
      watcher.close()
      watchers.delete(file)
    }
    for (const file of files) {
      if (!watchers.has(file)) watchers.set(file, watchConfig(file, onChange, options))
    }
  }
  return { follow, close: () => follow([]) }
}
