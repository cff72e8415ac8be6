// Writes records that js-ipns makes, one JSON object a line, for
// bench/record/emit to judge.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createIPNSRecord, createIPNSRecordWithExpiration, marshalIPNSRecord, multihashToIPNSRoutingKey } from 'ipns'

const base64 = (b) => Buffer.from(b).toString('base64')
const value = '/ipfs/bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4'
const year = 365 * 24 * 3600 * 1000

for (const type of ['Ed25519', 'secp256k1', 'RSA']) {
  const key = await generateKeyPair(type, 2048)
  const routingKey = multihashToIPNSRoutingKey(key.publicKey.toMultihash())
  for (const v1Compatible of [true, false]) {
    const cases = {
      plain: () => createIPNSRecord(key, value, 7n, year, { v1Compatible }),
      zero: () => createIPNSRecord(key, value, 0, year, { v1Compatible, ttlNs: 0n }),
      'int64': () => createIPNSRecord(key, value, (1n << 63n) - 1n, year, { v1Compatible }),
      'uint64': () => createIPNSRecord(key, value, (1n << 64n) - 1n, year, { v1Compatible }),
      expiration: () => createIPNSRecordWithExpiration(key, '/ipns/example.com/a/b', 1, '2125-01-01T00:00:00.000000001Z', { v1Compatible })
    }
    for (const [name, make] of Object.entries(cases)) {
      const record = await make()
      console.log(JSON.stringify({
        case: `${name}, ${v1Compatible ? 'V1+V2' : 'V2'}, ${type}`,
        routingKey: base64(routingKey),
        raw: base64(marshalIPNSRecord(record)),
        value: record.value,
        sequence: String(record.sequence),
        ttl: String(record.ttl)
      }))
    }
  }
}
