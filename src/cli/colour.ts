/** Colours for people: on a terminal, unless the environment says otherwise. */
import { styleText } from 'node:util'
import type { Io } from './command.ts'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

/** Gives the text back as it is where there are no colours. */
export type Paint = (style: Style, text: string) => string

export function createPaint(io: Pick<Io, 'env' | 'terminal'>): Paint {
  if (!hasColours(io)) return (_style, text) => text
  // What the stream can show was looked at here.
  return (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }))
}

/** In the order in which Node.js has them: FORCE_COLOR, https://no-color.org, the kind of terminal. */
function hasColours({ env, terminal }: Pick<Io, 'env' | 'terminal'>): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: unwanted, TERM: kind } = env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  if (unwanted !== undefined && unwanted !== '') return false
  return terminal !== undefined && kind !== 'dumb'
}
