// Does what a test says, with the clients of hosting services as they are published. Each line of its
// input is a call, [function, argument]; each is answered by a line, {result} or {error}, in order.
// Of Filebase's client, the server comes from $TEST_NAME_ENDPOINT.
import { createInterface } from 'node:readline'
import * as Name from 'w3name'
import W3NameService from 'w3name/service'
import { NameManager, PinManager } from '@filebase/sdk'

const mine = new Map() // names with their keys, by their text

const calls = {
  async w3Create () {
    const name = await Name.create()
    mine.set(name.toString(), name)
    return name.toString()
  },
  // Publishes the first value of a name, or the next one.
  async w3Publish ({ server, name, value, after }) {
    const own = mine.get(name)
    const revision = after == null
      ? await Name.v0(own, value)
      : await Name.increment(new Name.Revision(own, '', BigInt(after), new Date().toISOString()), value)
    await Name.publish(revision, own.key, new W3NameService(new URL(server)))
    return Number(revision.sequence)
  },
  async w3Resolve ({ server, name }) {
    const revision = await Name.resolve(Name.parse(name), new W3NameService(new URL(server)))
    return { value: revision.value, sequence: Number(revision.sequence) }
  },
  // Opens a WebSocket, publishes, and returns what comes by it.
  async w3Watch ({ server, name, value, after }) {
    const url = new URL(`name/${name}/watch`, server)
    url.protocol = 'ws:'
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.onopen = resolve
      socket.onerror = () => reject(new Error('the WebSocket does not open'))
    })
    const told = new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(JSON.parse(data)) })
    await calls.w3Publish({ server, name, value, after })
    const message = await told
    socket.close()
    return message
  },
  async w3Key ({ name }) {
    const { privateKeyToProtobuf } = await import('@libp2p/crypto/keys')
    return Buffer.from(privateKeyToProtobuf(mine.get(name).key)).toString('base64')
  },

  async names ({ key, secret, method, args }) {
    return await new NameManager(key, secret)[method](...(args ?? []))
  },
  async pins ({ key, secret, method, args }) {
    return await new PinManager(key, secret, { bucket: 'b' })[method](...(args ?? []))
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = JSON.parse(line)
  let answer
  try {
    answer = { result: await calls[name](argument) ?? null }
  } catch (err) {
    answer = { error: err.message }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0)
