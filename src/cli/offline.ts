/** entrepot offline on|off|status: whether upstreams are asked at all. */
import { calledWrongly, failWith, type Command, type Io } from './command.ts'
import { readOptions, type ConfigurationSource } from './configuration.ts'
import { isSwitchedOffline, switchOffline, switchOnline } from './offline-switch.ts'

export const offline: Command = async (args, io) => {
  const [action = '', ...options] = args
  const act = ACTIONS.get(action)
  if (act === undefined) return calledWrongly(io, 'Say one of these: offline on|off|status')
  try {
    act(readOptions(options, io.env), io)
    return 0
  } catch (error) {
    return failWith(io, error)
  }
}

const ACTIONS: ReadonlyMap<string, (source: ConfigurationSource, io: Io) => void> = new Map([
  ['on', turnOn],
  ['off', turnOff],
  ['status', tell],
])

function turnOn(source: ConfigurationSource, io: Io): void {
  const data = source.data()
  switchOffline(data)
  io.out(`The mirror on ${data} is offline: it serves what it has, and connects to no upstream.`)
}

function turnOff(source: ConfigurationSource, io: Io): void {
  const data = source.data()
  switchOnline(data)
  io.out(`The mirror on ${data} is no longer switched offline.`)
  tellConfigured(source, io)
}

function tell(source: ConfigurationSource, io: Io): void {
  const data = source.data()
  io.out(`The mirror on ${data} is ${isSwitchedOffline(data) ? '' : 'not '}switched offline.`)
  tellConfigured(source, io)
}

/** The switch cannot undo what the configuration says; one that cannot be read says nothing here. */
function tellConfigured(source: ConfigurationSource, io: Io): void {
  if (!saysOffline(source)) return
  io.out(`${source.file()} says "offline: true": the mirror is offline as long as it does.`)
}

function saysOffline(source: ConfigurationSource): boolean {
  try {
    return source.load().offline
  } catch {
    return false
  }
}
