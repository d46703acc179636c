/** A part of the program as processes of their own can run it. */
import { execFile } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Compiles a file of `src` and what it imports into a folder.
 * @returns URL of the compiled file
 */
export async function compileInto(folder: string, source: string): Promise<string> {
  const options = '--ignoreConfig --module nodenext --target es2023 --types node --skipLibCheck'
  await promisify(execFile)(
    join(ROOT, 'node_modules', '.bin', 'tsc'),
    [
      ...options.split(' '),
      '--rewriteRelativeImportExtensions',
      '--rootDir',
      join(ROOT, 'src'),
      '--outDir',
      join(folder, 'dist'),
      join(ROOT, 'src', source),
    ],
    { cwd: ROOT },
  )
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return pathToFileURL(join(folder, 'dist', source.replace(/\.ts$/, '.js'))).href
}
