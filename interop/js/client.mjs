// Does what a test says, with the JavaScript clients as they are published. Each
// line of its input is a call, [function, argument]; each is answered by a line,
// {result} or {error}, in order. Bytes travel as base64.
import { createInterface } from 'node:readline'

const calls = {
  // ipns: make a record, and look at one.
  async sign ({ type, value, sequence, v1Compatible }) {
    const { generateKeyPair } = await import('@libp2p/crypto/keys')
    const { createIPNSRecord, marshalIPNSRecord } = await import('ipns')
    const key = await generateKeyPair(type, 2048)
    const record = await createIPNSRecord(key, value, sequence, day, { v1Compatible })
    return { name: key.publicKey.toCID().toString(await base36()), raw: base64(marshalIPNSRecord(record)) }
  },
  async validate ({ name, raw }) {
    const { multihashToIPNSRoutingKey, unmarshalIPNSRecord } = await import('ipns')
    const { ipnsValidator } = await import('ipns/validator')
    await ipnsValidator(multihashToIPNSRoutingKey((await cid(name)).multihash), bytes(raw))
    const record = unmarshalIPNSRecord(bytes(raw))
    return { value: record.value, sequence: Number(record.sequence), v1: record.signatureV1 != null }
  },

  // @helia/delegated-routing-v1-http-api-client: records and peers by HTTP.
  async put ({ server, name, raw }) {
    await (await client(server)).putIPNS(await cid(name), bytes(raw))
  },
  async get ({ server, name }) {
    return base64(await (await client(server)).getIPNS(await cid(name)))
  },
  async providers ({ server, cid: text }) {
    return peers((await client(server)).getProviders(await cid(text)))
  },
  async peer ({ server, name }) {
    return peers((await client(server)).getPeers(await cid(name)))
  },
  async closest ({ server, cid: text }) {
    return peers((await client(server)).getClosestPeers(await cid(text)))
  },

  // fetch: what pages and caches do with the answers.
  async fetch ({ url, method, headers }) {
    const resp = await fetch(url, { method, headers: headers ?? {} })
    return { status: resp.status, headers: Object.fromEntries(resp.headers), body: base64(new Uint8Array(await resp.arrayBuffer())) }
  },

  // @helia/ipns: a node without libp2p, whose only network is our HTTP API.
  async publish ({ server, label, type, value, v1Compatible }) {
    const { helia, names } = await node(server)
    if (type != null) {
      await helia.keychain.generateKey(label, { type })
    }
    const { name } = await names.publish(label, value, { v1Compatible, ttl: 1000 })
    return name.slice('/ipns/'.length)
  },
  async resolve ({ server, name }) {
    const { names } = await node(server)
    const values = []
    for await (const { value } of names.resolve(await cid(name), { nocache: true })) {
      values.push(value)
    }
    return values
  },

  // kubo-rpc-client: our RPC API. api is a multiaddr.
  async add ({ api, files, options }) {
    const added = []
    const sources = files.map(({ path, content }) => ({ path, content: content == null ? undefined : Buffer.from(content) }))
    for await (const { path, cid } of (await rpc(api)).addAll(sources, options)) {
      added.push({ path, cid: cid.toString() })
    }
    return added
  },
  async cat ({ api, path }) {
    const parts = []
    for await (const part of (await rpc(api)).cat(path)) {
      parts.push(part)
    }
    return Buffer.concat(parts).toString()
  },
  async newKey ({ api, label, type }) {
    return (await (await rpc(api)).key.gen(label, { type })).id
  },
  async keys ({ api }) {
    return (await (await rpc(api)).key.list()).map(({ name }) => name)
  },
  async publishPath ({ api, path, options }) {
    return (await rpc(api)).name.publish(path, options)
  },
  async resolvePath ({ api, name }) {
    const paths = []
    for await (const path of (await rpc(api)).name.resolve(name)) {
      paths.push(path)
    }
    return paths
  },
  async pins ({ api }) {
    const pins = []
    for await (const { cid } of (await rpc(api)).pin.ls({ type: 'recursive' })) {
      pins.push(cid.toString())
    }
    return pins
  },

  // Any method of kubo-rpc-client, such as pin.update. Of its arguments and of what it
  // answers, {"/": …} is a CID and {"bytes": …} are bytes.
  async method ({ api, method, args }) {
    const client = await rpc(api)
    const path = method.split('.')
    const name = path.pop()
    const owner = path.reduce((o, part) => o[part], client)
    let result = owner[name](...await Promise.all(args.map(taken)))
    if (result?.[Symbol.asyncIterator] != null) {
      const parts = []
      for await (const part of result) {
        parts.push(part)
      }
      result = parts.every((p) => p instanceof Uint8Array) && parts.length > 0 ? Buffer.concat(parts) : parts
    }
    return given(await result)
  },

  // @helia/verified-fetch: content below a name, each block verified.
  async verifiedFetch ({ server, resource, accept }) {
    const { helia } = await node(server)
    const { createVerifiedFetchWithHelia } = await import('@helia/verified-fetch')
    const get = await createVerifiedFetchWithHelia(helia)
    try {
      const resp = await get(resource, { headers: accept == null ? {} : { accept }, allowLocal: true, allowInsecure: true })
      return { status: resp.status, headers: Object.fromEntries(resp.headers), body: base64(new Uint8Array(await resp.arrayBuffer())) }
    } finally {
      await get.stop()
    }
  }
}

const day = 24 * 3600 * 1000
const base64 = (b) => Buffer.from(b).toString('base64')
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))

// taken and given carry values over JSON.
async function taken (v) {
  if (v?.['/'] != null) {
    return cid(v['/'])
  }
  if (v?.bytes != null) {
    return bytes(v.bytes)
  }
  return v
}

function given (v) {
  if (v instanceof Uint8Array) {
    return { bytes: base64(v) }
  }
  if (typeof v === 'bigint') {
    return Number(v)
  }
  if (v == null || typeof v !== 'object') {
    return v ?? null
  }
  if (v.multihash != null || v.getComponents != null || v.publicKey != null) {
    return v.toString() // a CID, an address or a peer
  }
  if (Array.isArray(v)) {
    return v.map(given)
  }
  return Object.fromEntries(Object.entries(v).map(([k, w]) => [k, given(w)]))
}

async function base36 () {
  return (await import('multiformats/bases/base36')).base36
}

async function cid (text) {
  const { CID } = await import('multiformats/cid')
  return text.startsWith('k') ? CID.parse(text, await base36()) : CID.parse(text)
}

// client is asked anew each time: it must not answer from its cache.
async function client (server) {
  const { delegatedRoutingV1HttpApiClient } = await import('@helia/delegated-routing-v1-http-api-client')
  const { defaultLogger } = await import('@libp2p/logger')
  return delegatedRoutingV1HttpApiClient({ url: server, cacheTTL: 0 })({ logger: defaultLogger() })
}

async function rpc (api) {
  const { create } = await import('kubo-rpc-client')
  return create(api)
}

async function peers (found) {
  const list = []
  for await (const p of found) {
    list.push({ id: p.ID.toString(await base36()), addrs: p.Addrs.map(String) })
  }
  return list
}

// node returns the Helia node of a server, with its keys.
const nodes = new Map()
async function node (server) {
  if (!nodes.has(server)) {
    const { createHeliaLight } = await import('helia')
    const { withHTTP } = await import('@helia/http')
    const { ipns } = await import('@helia/ipns')
    const helia = withHTTP(createHeliaLight(), {
      delegatedRouters: [server], recursiveGateways: [server], allowLocal: true, allowInsecure: true, cacheTTL: 0
    })
    const names = ipns(helia)
    nodes.set(server, { helia: await helia.start(), names })
  }
  return nodes.get(server)
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = JSON.parse(line)
  let answer
  try {
    answer = { result: await calls[name](argument) ?? null }
  } catch (err) {
    answer = { error: `${err.name}: ${err.message}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0) // Helia keeps timers
