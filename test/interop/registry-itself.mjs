// Stands in for every registry itself, at the port where clients look for it: says when somebody comes, and
// serves nothing.
//
//   node registry-itself.mjs HOST PORT
import { createServer } from 'node:net'

const [host, port] = process.argv.slice(2)
const server = createServer((socket) => {
  process.stdout.write('somebody came\n')
  socket.on('error', () => undefined)
  socket.destroy()
})
server.listen(Number(port), host, () => process.stdout.write('listening\n'))
process.once('SIGTERM', () => server.close())
