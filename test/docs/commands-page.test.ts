/** docs/commands.md is what help says. */
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { expect, it } from 'vitest'
import { COMMAND_USAGE, USAGE } from '../../src/cli/usage.ts'

const FILE = fileURLToPath(new URL('../../docs/commands.md', import.meta.url))

// Mended by `npx vitest run test/docs/commands-page.test.ts --update`.
it('docs/commands.md says what help says', async () => {
  const style = await resolveConfig(FILE)
  await expect(await format(page(), { ...style, parser: 'markdown' })).toMatchFileSnapshot(FILE)
})

function page(): string {
  return [
    '# Commands',
    'What `entrepot help` says, and `entrepot help COMMAND`. This page is made of it, by a test. What commands are for is told in [Operations](operations.md#commands), [Access](access.md) and [Clients](clients.md).',
    [...COMMAND_USAGE.keys()].map((name) => `[${name}](#${name})`).join(' · '),
    fenced(USAGE),
    ...[...COMMAND_USAGE].map(([name, usage]) => `## ${name}\n\n${fenced(usage)}`),
  ].join('\n\n')
}

function fenced(text: string): string {
  return `\`\`\`\n${text}\n\`\`\``
}
