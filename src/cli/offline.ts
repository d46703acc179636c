/** entrepot offline on|off|status: whether upstreams are asked at all. */
import { calledWrongly, failWith, type Command, type Io } from './command.ts'
import { readArguments, type ConfigurationSource } from './configuration.ts'
import { isSwitchedOffline, switchOffline, switchOnline } from './offline-switch.ts'
import { jsonText } from './text.ts'

export const offline: Command = async (args, io) => {
  const [action = '', ...rest] = args
  const act = ACTIONS.get(action)
  if (act === undefined) return calledWrongly(io, 'Say one of these: offline on|off|status')
  try {
    const { source, options } = readArguments(rest, io.env, { json: 'boolean' })
    const sentence = act(source.data())
    if (options.json === true) io.out(jsonText(stateOf(source)))
    else tell(source, sentence, action, io)
    return 0
  } catch (error) {
    return failWith(io, error)
  }
}

/** What is done with a data folder, and said of it. */
const ACTIONS: ReadonlyMap<string, (data: string) => string> = new Map([
  ['on', turnOn],
  ['off', turnOff],
  [
    'status',
    (data) => `The mirror on ${data} is ${isSwitchedOffline(data) ? '' : 'not '}switched offline.`,
  ],
])

function turnOn(data: string): string {
  switchOffline(data)
  return `The mirror on ${data} is offline: it serves what it has, and connects to no upstream.`
}

function turnOff(data: string): string {
  switchOnline(data)
  return `The mirror on ${data} is no longer switched offline.`
}

function tell(source: ConfigurationSource, sentence: string, action: string, io: Io): void {
  io.out(sentence)
  // The switch cannot undo what the configuration says.
  if (action === 'on' || !saysOffline(source)) return
  io.out(`${source.file()} says "offline: true": the mirror is offline as long as it does.`)
}

function stateOf(source: ConfigurationSource): object {
  const data = source.data()
  const switched = isSwitchedOffline(data)
  const configured = saysOffline(source)
  return { data, offline: switched || configured, switched, configured }
}

/** One that cannot be read says nothing here. */
function saysOffline(source: ConfigurationSource): boolean {
  try {
    return source.load().offline
  } catch {
    return false
  }
}
